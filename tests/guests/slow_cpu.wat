;; handle_message burns a fixed amount of processor time (40 million rounds, 20 to 50 ms on a machine
;; of 2025) and returns 0.
(module
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (local $left i32) (local $x i64)
    (local.set $left (i32.const 40000000))
    (loop $again
      ;; Each round needs the one before, so that neither compiler nor processor can skip ahead.
      (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.store (i32.const 0) (local.get $x))
    i32.const 0)
)
