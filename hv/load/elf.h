/*
 * ELF files, 32 and 64 bits, for the loaders that take them (System V ABI, "Object Files").
 */
#pragma once

#include "hv/load/plan.h"

struct elf_file {
	const struct load_file *f;
	bool is64;
	uint16_t type; /* ELF_EXEC, ELF_DYN */
	uint64_t entry;
	uint64_t phoff;
	uint32_t phentsize, phnum;
};

enum { ELF_EXEC = 2, ELF_DYN = 3 };

/* A PT_LOAD entry whose file range lies in the file; memsz is at least filesz. */
struct elf_segment {
	uint64_t offset, filesz;
	uint64_t vaddr, paddr, memsz;
	uint64_t at; /* offset of the program header in the file, for messages */
};

/* Checks the file header. Refuses with the file's name. */
bool elf_open(struct elf_file *e, struct load_plan *p);

/* Program header i: *load is false when there is nothing of it to load. */
bool elf_segment(const struct elf_file *e, struct load_plan *p, uint32_t i, struct elf_segment *s,
		 bool *load);

/* The lowest and highest physical address of all segments, and the strictest alignment. */
bool elf_extent(const struct elf_file *e, struct load_plan *p, uint64_t *low, uint64_t *high);

/*
 * Loads all segments at their physical addresses plus delta. Memory behind filesz is zero already.
 */
bool elf_load(const struct elf_file *e, struct load_plan *p, uint64_t delta);

/*
 * The entry as a physical address (before a delta): linked addresses that a segment holds are
 * translated, physical ones are taken as they are. Refused if no segment holds it.
 */
bool elf_entry(const struct elf_file *e, struct load_plan *p, uint64_t *entry);
