/*
 * One instruction on a small machine, for the tests of hv/emulate*.c. One at a time.
 */
#pragma once

#include "tests/fake/fake_host.h"
#include "tests/fake/fake_simd.h"
#include "tests/fake/machine.h"

#define CODE	  0x1000ull
#define NX_BIT	  BIT(63)
#define LONG_MMIO 0xffff800012340000ull /* a linear address that maps MACHINE_MMIO in long mode */

#define RUN(m, gpa, write, ...)                                                                    \
	machine_run(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}),     \
		    gpa, write)

extern struct machine m;

/* 64-bit code at CODE, RDI at memory-mapped I/O. */
void start_long(void);
/* The same in another mode. */
void start_mode(enum machine_mode mode);
/* Was the i-th access outside of RAM this one? */
bool logged(unsigned i, bool write, uint64_t at, unsigned size, uint64_t value);
/* Did the guest get this exception? */
bool faulted(unsigned vector, uint32_t error);
