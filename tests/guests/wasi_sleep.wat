;; handle_message asks WASI to sleep for 60 s (poll_oneoff): the host must not wait. Returns 0 whatever
;; the answer.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2) ;; the message goes into the second page
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    ;; One subscription of 48 bytes at 256; what is not written stays 0: event type clock, relative time.
    (i64.store (i32.const 256) (i64.const 1)) ;; user data
    (i32.store (i32.const 272) (i32.const 1)) ;; the monotonic clock
    (i64.store (i32.const 280) (i64.const 60000000000)) ;; nanoseconds
    (drop (call $poll_oneoff (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 1024)))
    i32.const 0)
)
