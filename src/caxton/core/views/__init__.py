"""What crosses the wire: bodies of the REST interface, one file for each thing they speak of."""
