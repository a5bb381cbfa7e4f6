;; Refused: imports caxton.send_message with another type than it has.
(module
  (import "caxton" "send_message" (func $send_message (param i64) (result i64)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (i32.wrap_i64 (call $send_message (i64.const 0))))
)
