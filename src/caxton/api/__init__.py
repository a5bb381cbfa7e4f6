"""The REST door: parse, authorize, call one service method, render. It knows services by Protocol only."""
