;; handle_message grows memory page by page until the host says -1, writes to the last byte it got,
;; logs the number of pages it has and returns 0.
(module
  (import "caxton" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (loop $more
      (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
    (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 1))
    (call $log_number (memory.size))
    i32.const 0)
  ;; Logs a number in decimal; uses the bytes from 1024 to 1040.
  (func $log_number (param $n i32) (local $at i32)
    (local.set $at (i32.const 1040))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $digit (local.get $n)))
    (call $log (i32.const 2) (local.get $at) (i32.sub (i32.const 1040) (local.get $at))))
)
