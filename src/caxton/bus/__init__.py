"""The bus: who receives, mailboxes, handing over, settling, and the journal that makes it last.

Knows nothing of WebAssembly: whoever handles messages implements `bus.handler.Handler`. All of it is plain synchronous
code on the event loop's thread; only the journal's writer is elsewhere.
"""
