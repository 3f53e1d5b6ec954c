/*
 * Guest image loaders: a file from the boot image becomes bytes in guest memory and an entry state.
 *
 * partition_life.c calls load_guest at each start; images are never changed, so a restart
 * loads again from the same bytes. Every offset in an image is distrusted. Memory is zero before.
 */
#pragma once

#include "hv/addrspace.h"
#include "hv/config.h"
#include "hv/vcpu.h"

struct load_file {
	const uint8_t *data;
	uint64_t size;
	const char *name;
	const char *args; /* modules; "" else */
};

struct load_image {
	struct load_file kernel;
	struct load_file initrd; /* data NULL: none */
	struct load_file module[MAX_MODULES];
	unsigned modules;
	const char *cmdline;
	bool flat;
	uint64_t flat_load, flat_entry;
	uint64_t memory;	 /* guest RAM in bytes, as configured */
	gpa_t rsdp;		 /* of the tables that acpi_build made; 0: none */
	/* Guest memory map, sorted: what E820 and the multiboot memory maps tell. */
	struct load_region {
		uint64_t base, size;
		uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS */
	} map[16];
	unsigned maps;
};

enum load_kind { LOAD_LINUX, LOAD_MULTIBOOT1, LOAD_MULTIBOOT2, LOAD_ELF64, LOAD_FLAT };

/*
 * Recognises the image, loads it into `as`, and sets `regs` to the entry state: the caller passes
 * the reset state, the loader changes what its protocol says (CR0, CR3, EFER, segments, GPRs, RIP).
 * Refuses with the file's name, the reason and the offset.
 */
bool load_guest(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		enum load_kind *kind, struct refusal *r);
const char *load_kind_name(enum load_kind k);

/* Helpers shared by the loaders (load.c): entry states with flat segments. */
void load_state_protected32(struct vcpu_regs *regs, uint64_t entry);
/* 64-bit: builds identity page tables for the first 4 GiB (2 MiB leaves) and a GDT at `tables`
 * (7 pages: PML4, PDPT, 4 PD, GDT). CS 0x10, data 0x18 (Linux's __BOOT_CS, __BOOT_DS). */
bool load_state_long64(struct vcpu_regs *regs, const struct addrspace *as, gpa_t tables,
		       uint64_t entry, struct refusal *r);

bool linux_probe(const struct load_file *f);
bool linux_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		struct refusal *r);
bool multiboot1_probe(const struct load_file *f);
bool multiboot1_load(const struct load_image *img, const struct addrspace *as,
		     struct vcpu_regs *regs, struct refusal *r);
bool multiboot2_probe(const struct load_file *f);
bool multiboot2_load(const struct load_image *img, const struct addrspace *as,
		     struct vcpu_regs *regs, struct refusal *r);
bool elf_probe(const struct load_file *f);
bool elf64_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		struct refusal *r);
bool flat_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
	       struct refusal *r);
