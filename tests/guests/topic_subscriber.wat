;; agent_init subscribes to "topic://news"; each message adds one to the number that is kept as decimal
;; text under the key "n".
(module
  (import "caxton" "subscribe" (func $subscribe (param i32 i32) (result i32)))
  (import "caxton" "kv_get" (func $kv_get (param i32 i32) (result i32)))
  (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "read_result" (func $read_result (param i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (data (i32.const 16) "topic://news")
  (data (i32.const 32) "n")
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  ;; Works in the bytes from 64 to 84: the digits end at 84.
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (local $size i32) (local $n i64) (local $at i32)
    (local.set $size (call $kv_get (i32.const 32) (i32.const 1)))
    (if (i32.gt_s (local.get $size) (i32.const 0))
      (then
        (if (i32.gt_u (local.get $size) (i32.const 20)) (then (return (i32.const 1))))
        (drop (call $read_result (i32.const 64) (local.get $size)))
        (local.set $at (i32.const 64))
        (loop $digit
          (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10))
            (i64.extend_i32_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $digit
            (i32.lt_u (local.get $at) (i32.add (i32.const 64) (local.get $size)))))))
    (local.set $n (i64.add (local.get $n) (i64.const 1)))
    (local.set $at (i32.const 84))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at) (i64.add (i64.const 48) (i64.rem_u (local.get $n) (i64.const 10))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $n) (i64.const 0))))
    (i32.lt_s
      (call $kv_set (i32.const 32) (i32.const 1)
        (local.get $at) (i32.sub (i32.const 84) (local.get $at)))
      (i32.const 0)))
  (func $agent_init (export "agent_init") (result i32)
    (i32.lt_s (call $subscribe (i32.const 16) (i32.const 12)) (i32.const 0)))
)
