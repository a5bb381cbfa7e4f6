;; handle_message writes the key "half" and sends to "sink", then returns 1: neither may take effect.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16) "halfdone")
  (data (i32.const 32)
    "{\"performative\":\"inform\",\"receiver\":\"sink\""
    ",\"content\":{\"never\":true}}")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (drop (call $kv_set (i32.const 16) (i32.const 4) (i32.const 20) (i32.const 4)))
    (drop (call $send_message (i32.const 32) (i32.const 68)))
    i32.const 1)
)
