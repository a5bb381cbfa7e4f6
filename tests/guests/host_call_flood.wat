;; handle_message calls now_us ten million times and returns 0.
(module
  (import "caxton" "now_us" (func $now_us (result i64)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 10000000))
    (loop $again
      (drop (call $now_us))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    i32.const 0)
)
