/*
 * Where the bring-up is: a code on port 0x80, and in the log that outlives a reset.
 *
 * docs/faults.md has the table for people; start.asm and trampoline.asm have the same numbers, and
 * tests/system/test_stages.py holds all of them against each other.
 */
#pragma once

#include "hv/types.h"

// clang-format off
#define BOOT_STAGES(STAGE)                                                                         \
	STAGE(ENTRY,       0xa0, "the first instruction")                                          \
	STAGE(LONG_MODE,   0xa1, "the CPU has a 64-bit mode")                                      \
	STAGE(TABLES,      0xa2, "first page tables are made")                                     \
	STAGE(PAGING,      0xa3, "paging is on")                                                   \
	STAGE(START64,     0xa4, "64-bit code runs")                                               \
	STAGE(C,           0xa5, "C code runs, exceptions are reported")                           \
	STAGE(INFORMATION, 0xa6, "the loader's information is read")                               \
	STAGE(MEMORY,      0xa7, "memory is listed, own page tables are made")                     \
	STAGE(ACPI,        0xa8, "ACPI tables are read")                                           \
	STAGE(TSC,         0xa9, "the TSC is measured")                                            \
	STAGE(INTERRUPTS,  0xaa, "local APIC, IOMMU and I/O APICs are set up")                     \
	STAGE(PCI,         0xab, "PCI devices are found")                                          \
	STAGE(CPUS,        0xac, "the other CPUs are started")                                     \
	STAGE(CONFIG,      0xad, "the configuration is read")                                      \
	STAGE(VIRT,        0xae, "virtualization is turned on")                                    \
	STAGE(PARTITIONS,  0xaf, "partitions are made")                                            \
	STAGE(GUESTS,      0xb0, "guests run")                                                     \
	STAGE(AP_ENTRY,    0xb8, "another CPU: the first instruction")                             \
	STAGE(AP_START64,  0xb9, "another CPU: 64-bit code runs")                                  \
	STAGE(AP_C,        0xba, "another CPU: C code runs")
// clang-format on

enum boot_stage {
#define STAGE(name, code, words) STAGE_##name = (code),
	BOOT_STAGES(STAGE)
#undef STAGE
};

enum { PORT_POST = 0x80 };

/* The boot CPU begins this stage. */
void boot_stage(enum boot_stage s);
/* What the table says; NULL: no such code. */
const char *boot_stage_words(uint32_t code);
