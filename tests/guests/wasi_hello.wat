;; handle_message writes "hello from wasi\n" to standard output through WASI; returns its errno.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 32) "hello from wasi\n")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (i32.store (i32.const 16) (i32.const 32)) ;; one iovec: address and length
    (i32.store (i32.const 20) (i32.const 16))
    (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
)
