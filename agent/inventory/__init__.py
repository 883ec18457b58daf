"""What the cluster consists of, told once in full and then in differences."""
