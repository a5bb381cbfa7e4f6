;; Refused: imports env.launch_missiles.
(module
  (import "env" "launch_missiles" (func $launch_missiles (param i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (call $launch_missiles (i32.const 1)))
)
