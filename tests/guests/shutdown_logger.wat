;; agent_shutdown logs "bye".
(module
  (import "caxton" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16) "bye")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)
    i32.const 0)
  (func $agent_shutdown (export "agent_shutdown")
    (call $log (i32.const 2) (i32.const 16) (i32.const 3)))
)
