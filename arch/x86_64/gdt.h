/*
 * Segments and task state of one CPU: flat 64-bit code and data, and a TSS for the stacks of NMI,
 * double fault and machine check.
 */
#pragma once

#include "hv/types.h"

enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18, GDT_ENTRIES = 5 };

/* Interrupt stack table entries, counted from 1 as in an IDT gate. */
enum ist { IST_NMI = 1, IST_DOUBLE_FAULT = 2, IST_MACHINE_CHECK = 3, ISTS = 3 };

/* Intel SDM vol. 3, "Task Management in 64-bit Mode". */
struct tss {
	uint32_t reserved_0;
	uint32_t rsp[3][2];
	uint32_t reserved_1c[2];
	uint32_t ist[7][2]; /* low and high half */
	uint32_t reserved_5c[2];
	uint16_t reserved_64;
	uint16_t io_map;
};
_Static_assert(offsetof(struct tss, ist) == 0x24, "hardware layout");
_Static_assert(offsetof(struct tss, io_map) == 0x66, "hardware layout");
_Static_assert(sizeof(struct tss) == 0x68, "hardware layout");

struct percpu;

/* Fills p's GDT and TSS; ist_top[0] belongs to IST 1. Any CPU, before p's CPU loads them. */
void gdt_make(struct percpu *p, const uint64_t ist_top[ISTS]);
/* Loads p's GDT, segments, GS base and TSS on this CPU. */
void gdt_load(struct percpu *p);
