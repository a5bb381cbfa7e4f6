"""What is shown, as text: pure functions from what the server answered to lines."""
