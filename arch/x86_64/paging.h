/*
 * The hypervisor's own address space, one for all CPUs. The low half is empty.
 *
 *   DIRECT_BASE    all RAM but the image, one to one; data only
 *   FIRMWARE_BASE  tables of the firmware, as asked for; read only
 *   MMIO_BASE      device registers, uncached; video memory, write-combining
 *   STACK_BASE     stacks of each CPU between unmapped pages
 *   IMAGE          text, read-only data, data, each with its own permission
 *
 * Nothing is ever writable and executable. Changed by the boot CPU only, before the others start.
 */
#pragma once

#include "arch/x86_64/gdt.h"
#include "boot/boot_info.h"

#define DIRECT_BASE   0xffff800000000000ull
#define FIRMWARE_BASE 0xffffc00000000000ull
#define MMIO_BASE     0xffffe00000000000ull
#define STACK_BASE    0xfffff00000000000ull
#define IMAGE_BASE    0xffffffff80000000ull

enum {
	CPU_STACK = 6 * PAGE_SIZE,
	IST_STACK = 2 * PAGE_SIZE,
};

/* Builds the tables and switches to them. image_delta: how far the loader moved the image. */
void paging_init(const struct boot_info *b, uint64_t image_delta);
/* The root that every CPU loads. */
hpa_t paging_root(void);
/* Where the loader put the image. */
void paging_image(uint64_t image_delta, uint64_t *start, uint64_t *end);

/* A root below 4 GiB with the same high half and, at its own address, one executable page. */
hpa_t paging_trampoline_root(hpa_t page);

/* The firmware's memory, read only; NULL: no such physical address. It is an acpi_map_fn, of which
 * ctx is not used. */
const void *paging_map_firmware(void *ctx, hpa_t at, uint64_t size);

/* Video memory, for writing; as host_map_mmio otherwise. */
void *paging_map_write_combining(hpa_t at, uint64_t size);

/* Stacks of CPU `cpu`: the top of its own one and of those for the interrupt stack table. */
uint64_t paging_map_stacks(unsigned cpu, uint64_t ist_top[ISTS]);

/* Walks the tables that this CPU uses; returns how many leaves are writable and executable. */
unsigned paging_check(unsigned *leaves);
