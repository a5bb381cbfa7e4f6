;; Logs "working", computes for about half a second, then replies to client:admin in the conversation "slow".
(module
  (import "caxton" "log" (func $log (param i32 i32 i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 18)
  (data (i32.const 16) "working")
  (data (i32.const 64)
    "{\"performative\":\"inform\",\"receiver\":\"client:admin\",\"conversation_id\":\"slow\",\"content\":\"done\"}")
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $left i64)
    (call $log (i32.const 2) (i32.const 16) (i32.const 7))
    (local.set $left (i64.const 400000000))
    (loop $again
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))
    (call $send (i32.const 64) (i32.const 93))))
