/*
 * Carries out one instruction that touched memory which is not RAM, or a string I/O instruction.
 *
 * exit.c calls it for EXIT_NPT and for INS/OUTS. It fetches the bytes through the guest's page
 * tables, decodes them with Zydis (decode.h), and performs the instruction: registers, memory,
 * flags and faults exactly as the CPU would. It knows a vCPU only through the callbacks below, so
 * the differential test runs it against the real CPU.
 */
#pragma once

#include "hv/gwalk.h"
#include "hv/vcpu.h"

enum emulate_result {
	EMULATE_DONE,  /* completed; RIP is past it (or on it, for a REP that must go on) */
	EMULATE_FAULT, /* the guest gets `fault`; nothing else changed (REP: up to the element) */
	EMULATE_RETRY, /* the bytes changed under us or the address is RAM by now: run the guest */
	EMULATE_UNKNOWN, /* not in the repertoire, or code or page tables that are not in RAM: stop
			  * the partition and show the bytes */
};

/* Where the emulator's memory and port accesses go. */
struct emulate_bus {
	void *ctx;
	/*
	 * One access of 1, 2, 4 or 8 bytes at a gpa that is not RAM. Accesses of 16 and 32 bytes
	 * come as 8-byte pieces, low address first; those that cross a page come as two.
	 */
	void (*mmio)(void *ctx, gpa_t gpa, struct bus_access *a);
	void (*port)(void *ctx, uint16_t port, struct bus_access *a);
};

struct emulate {
	struct vcpu *vcpu;
	const struct addrspace *as;
	const struct emulate_bus *bus;
	unsigned maxphyaddr;
	uint32_t pkru; /* the guest's PKRU; used when CR4.PKE is 1 */
	/*
	 * What the exit told. An operand that has this page offset and direction is the access that
	 * the CPU has just translated and permitted: it is not walked again. When no operand is,
	 * the walk must lead to memory that is not RAM, else the result is EMULATE_RETRY.
	 * valid 0: string I/O.
	 */
	gpa_t gpa;
	bool gpa_valid;
	bool write;
	/* Out: */
	struct event fault; /* EMULATE_FAULT; a #PF has set regs.cr2 and touched GROUP_CR2 */
	_Alignas(8) uint8_t bytes[16]; /* as fetched, for the report; at most 15 count */
	uint8_t bytes_count;
	uint8_t insn_len; /* 0: not known */
};

enum emulate_result emulate(struct emulate *e);

/*
 * The short way, to be tried first when an exit of 64-bit code told `at`, the direction and the CPL
 * (emulate_plain.c); GROUP_RIP and GROUP_CR are valid. NULL: emulate() it is, nothing has happened.
 * Else *a has the size, the direction and what is written; the caller carries it out at `at`, and
 * hands both to emulate_plain_end.
 */
const struct decoded *emulate_plain(const struct vcpu *v, gpa_t at, bool write, unsigned cpl,
				    struct bus_access *a);
void emulate_plain_end(struct vcpu *v, const struct decoded *d, const struct bus_access *a);

/*
 * Only the length of the instruction at RIP (for exits that do not tell it, SVM without nRIP).
 * 0: e->fault is set, or the bytes do not decode.
 */
unsigned emulate_length(struct emulate *e);
