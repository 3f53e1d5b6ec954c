/*
 * A guest machine for tests of the emulator: a vCPU, RAM, ROM, page tables, and a bus that answers
 * from an array and records each access.
 *
 *   gpa 0          MACHINE_RAM bytes of RAM; page tables grow from MACHINE_TABLES
 *   MACHINE_ROM    one page of RAM that the guest may not write
 *   MACHINE_MMIO   MACHINE_MMIO_SIZE bytes of registers; elsewhere reads give ones
 */
#pragma once

#include "hv/emulate.h"

enum {
	MACHINE_RAM = 0xe0000,
	MACHINE_TABLES = 0x80000,
	MACHINE_ROM = 0xf0000,
	MACHINE_MMIO_SIZE = 0x4000,
	MACHINE_LOG = 256,
};
#define MACHINE_MMIO 0xfec00000ull

struct machine_access {
	bool port, write;
	uint64_t at, value;
	unsigned size;
};

struct machine {
	struct vcpu v;
	struct addrspace as;
	struct emulate_bus bus;
	struct emulate e;
	uint8_t *ram, *rom;
	uint8_t mmio[MACHINE_MMIO_SIZE];
	uint64_t tables; /* the next free page for a table */
	struct machine_access log[MACHINE_LOG];
	unsigned logged;	/* all accesses; beyond MACHINE_LOG they are only counted */
	unsigned plain;		/* instructions that went the short way */
	uint32_t port_value;	/* what reads of ports give, counted up */
	struct vcpu_regs truth; /* while emulate() runs: what a group gives when it is fetched */
};

enum machine_mode {
	MACHINE_REAL,
	MACHINE_PROT32,
	MACHINE_PAE,
	MACHINE_COMPAT,
	MACHINE_LONG,
	MACHINE_LONG5,
	MACHINE_PROT16
};

/* Flat segments, CPL 0, paging on where the mode has it, nothing mapped, RIP 0. */
void machine_init(struct machine *m, enum machine_mode mode);
void machine_free(struct machine *m);
void machine_set_cpl(struct machine *m, unsigned cpl);

/* Maps one 4 KiB page; flags are PTE bits besides P; tables are user and writable. */
void machine_map(struct machine *m, uint64_t va, uint64_t gpa, uint64_t flags);
/* The guest's entry for va at a level (1: PTE), as bytes in its RAM. */
void *machine_entry(struct machine *m, uint64_t va, unsigned level);

/*
 * emulate_plain(), and where it does not do emulate(), on a vCPU none of whose register groups has
 * been fetched; afterwards only groups that were marked as written have changed. machine_run uses
 * it.
 */
enum emulate_result machine_emulate(struct machine *m);

/*
 * Puts code at RIP (which is mapped, or equals the gpa) and emulates it as if it had exited at gpa
 * for an access of this direction.
 */
enum emulate_result machine_run(struct machine *m, const void *code, size_t len, uint64_t gpa,
				bool write);
