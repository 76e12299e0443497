module headwind.sh/testbed/node

go 1.26
