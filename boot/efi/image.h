/*
 * The hypervisor's own ELF file: what it wants of memory, and its segments in place. Pure.
 */
#pragma once

#include "hv/load/elf.h"

/* Addresses are those that the file is linked for; all may move by one distance. */
struct image {
	struct load_image file;
	struct elf_file elf;
	uint64_t low, high;	  /* first byte, and behind the last one */
	uint64_t entry;		  /* 32-bit code */
	uint32_t min, max, align; /* where it may be put, from its multiboot2 header */
};

/* Refuses what is no relocatable multiboot2 image that fits. The file's bytes must stay. */
bool image_open(struct image *image, const char *name, const uint8_t *data, uint64_t size,
		struct refusal *r);
/* Copies the segments to memory of high - low bytes, all zero. */
bool image_copy(const struct image *image, uint8_t *memory, struct refusal *r);
