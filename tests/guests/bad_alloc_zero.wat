;; caxton_alloc returns 0: it has no room.
(module
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    i32.const 0)
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    ;; The host must not get this far.
    unreachable)
)
