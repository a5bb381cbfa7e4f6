;; handle_message sends to "sink" a message that claims to come from "admin". Returns 0 if it was
;; accepted, else 1.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16)
    "{\"performative\":\"inform\",\"sender\":\"admin\",\"receiver\":\"sink\""
    ",\"content\":{\"from\":\"admin\"}}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (i32.lt_s (call $send_message (i32.const 16) (i32.const 87)) (i32.const 0)))
)
