;; handle_message sets a timer of 10 ms (returns 1 if the host refuses it); handle_timer sends
;; {"timer": true} to "sink".
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (import "caxton" "set_timer" (func $set_timer (param i64) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16)
    "{\"performative\":\"inform\",\"receiver\":\"sink\""
    ",\"content\":{\"timer\":true}}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (i32.lt_s (call $set_timer (i64.const 10000)) (i32.const 0)))
  (func $handle_timer (export "handle_timer") (param $id i32) (result i32)
    (i32.lt_s (call $send_message (i32.const 16) (i32.const 68)) (i32.const 0)))
)
