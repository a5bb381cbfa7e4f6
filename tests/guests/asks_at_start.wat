;; agent_init asks "echo"; the answer's handling counts in the kv key "answers" (one byte, '1').
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 18)
  (data (i32.const 16) "{\"performative\":\"request\",\"receiver\":\"echo\",\"content\":1}")
  (data (i32.const 128) "answers1")
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "agent_init") (result i32) (call $send (i32.const 16) (i32.const 56)))
  (func (export "handle_message") (param i32 i32) (result i32)
    (call $kv_set (i32.const 128) (i32.const 7) (i32.const 135) (i32.const 1))))
