;; An empty component instead of a core module.
(component)
