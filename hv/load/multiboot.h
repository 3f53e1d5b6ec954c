/*
 * What both multiboot protocols share: images with addresses in their header, modules, strings, and
 * the block of information that grows in guest memory.
 */
#pragma once

#include "hv/load/plan.h"

/* The address fields of a header. */
struct multiboot_addresses {
	uint64_t header_at; /* offset of the header in the file */
	uint32_t header, load, load_end, bss_end;
};

/* The image as the address fields tell it. */
struct multiboot_flat {
	uint64_t offset, filesz; /* in the file */
	uint64_t base, memsz;
};
bool multiboot_flat_image(struct load_plan *p, const struct multiboot_addresses *a,
			  struct multiboot_flat *m);
bool multiboot_flat_load(struct load_plan *p, const struct multiboot_flat *m, uint64_t delta);

/* Copies the modules to pages of their own, behind the kernel. */
bool multiboot_modules(struct load_plan *p, uint64_t at[MAX_MODULES]);

/* KiB of RAM from 0 (at most 640) and from 1 MiB up to the first hole. */
void multiboot_memory(const struct load_image *img, uint32_t *lower, uint32_t *upper);

/*
 * A cursor into the information block. With p NULL it only counts, so the same code tells how
 * large the block will be and then writes it.
 */
struct multiboot_writer {
	uint8_t *p;
	uint64_t base; /* guest-physical, of p[0] */
	uint32_t len;
};
/* Appends n bytes (of zeros, if data is NULL); the guest-physical address of them. */
uint32_t multiboot_put(struct multiboot_writer *w, const void *data, size_t n);
/* Appends "name args", or "name" alone, with its NUL. */
uint32_t multiboot_put_line(struct multiboot_writer *w, const char *name, const char *args);
void multiboot_align(struct multiboot_writer *w, uint32_t align);

/*
 * Runs `build` twice, to count and to write, and finds the place in between: high below 1 MiB,
 * where neither kernels nor their trampolines use to be; else anywhere. *at: the block.
 */
typedef void (*multiboot_build_fn)(struct multiboot_writer *w, const struct load_image *img,
				   void *ctx);
bool multiboot_info(struct load_plan *p, multiboot_build_fn build, void *ctx, uint64_t *at);

/* 32-bit entry with magic in EAX and the block in EBX; a GDT is placed, though none is promised. */
bool multiboot_enter(struct load_plan *p, struct vcpu_regs *regs, uint32_t magic, uint64_t entry,
		     uint64_t info);
