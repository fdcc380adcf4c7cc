"""The kit for tests of the scheduler and of plugins: virtual time, a kernel in memory, brokers."""
