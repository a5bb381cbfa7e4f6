;; handle_message calls send_message with pointers and lengths outside its memory (131072 bytes).
;; Returns 0 if the host answered -1 each time, else the number of the first case with another answer.
(module
  (import "caxton" "send_message" (func $send_message (param i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    ;; 1: begins behind everything
    (if (i32.ne (call $send_message (i32.const -1) (i32.const 10)) (i32.const -1))
      (then (return (i32.const 1))))
    ;; 2: negative length
    (if (i32.ne (call $send_message (i32.const 0) (i32.const -1)) (i32.const -1))
      (then (return (i32.const 2))))
    ;; 3: length far too large
    (if (i32.ne (call $send_message (i32.const 0) (i32.const 0x7fffffff)) (i32.const -1))
      (then (return (i32.const 3))))
    ;; 4: begins inside and ends outside
    (if (i32.ne (call $send_message (i32.const 131000) (i32.const 100)) (i32.const -1))
      (then (return (i32.const 4))))
    ;; 5: begins far outside
    (if (i32.ne (call $send_message (i32.const 0x7fffffff) (i32.const 1)) (i32.const -1))
      (then (return (i32.const 5))))
    ;; 6: address and length wrap round to a small number
    (if (i32.ne (call $send_message (i32.const 0xfffffff0) (i32.const 0x20)) (i32.const -1))
      (then (return (i32.const 6))))
    ;; 7: begins exactly at the end
    (if (i32.ne (call $send_message (i32.const 131072) (i32.const 1)) (i32.const -1))
      (then (return (i32.const 7))))
    ;; 8: empty: not a message
    (if (i32.ne (call $send_message (i32.const 0) (i32.const 0)) (i32.const -1))
      (then (return (i32.const 8))))
    ;; 9: both negative
    (if (i32.ne (call $send_message (i32.const -1) (i32.const -1)) (i32.const -1))
      (then (return (i32.const 9))))
    i32.const 0)
)
