/*
 * What cpuid_table.c finds once and cpuid.c shows: only those two include it.
 */
#pragma once

#include "hv/cpuid.h"

enum { BASIC = 0x20, EXTENDED = 0x22, XSAVE_LEGACY = 576 /* legacy region and header */ };

#define B(n)	  (1u << (n))
#define R(hi, lo) ((uint32_t)FIELD(hi, lo))

/* This machine's leaves after the masks, read-only after cpuid_init. */
struct cpuid_machine {
	uint32_t basic[BASIC][4], extended[EXTENDED][4], leaf7_1[4], leafd_1[4];
	uint32_t max_basic, max_extended;
	uint64_t xcr0_allowed;
	bool amd;
};

extern struct cpuid_machine cpuid_machine;

/* The size of the XSAVE area with these features on: in standard and in compacted format. */
uint64_t cpuid_xsave_size(uint64_t xcr0);
uint64_t cpuid_xsavec_size(uint64_t xcr0);
