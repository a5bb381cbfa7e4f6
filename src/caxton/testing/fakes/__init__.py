"""What stands in for a node in tests of the doors; `node.FakeNode` has all of it."""
