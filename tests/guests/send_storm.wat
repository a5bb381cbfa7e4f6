;; handle_message sends to "sink" in an endless loop and ignores what the host answers.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16)
    "{\"performative\":\"inform\",\"receiver\":\"sink\""
    ",\"content\":{\"storm\":true}}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (loop $again
      (drop (call $send_message (i32.const 16) (i32.const 68)))
      (br $again))
    unreachable)
)
