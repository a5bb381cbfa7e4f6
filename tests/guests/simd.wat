;; Uses 128-bit vectors. Returns 0 if 4 x (1 + 2) is 12.
(module
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (local $sum v128)
    (local.set $sum (i32x4.add (i32x4.splat (i32.const 1)) (i32x4.splat (i32.const 2))))
    (i32.ne (i32.const 12)
      (i32.add
        (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
        (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum))))))
)
