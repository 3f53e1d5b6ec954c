/*
 * What the loader told us, vendor- and protocol-neutral: multiboot2 tags become this.
 */
#pragma once

#include "hv/limits.h"
#include "hv/refuse.h"

enum memory_type { MEMORY_RAM = 1, MEMORY_RESERVED = 2, MEMORY_ACPI = 3, MEMORY_NVS = 4,
		   MEMORY_BAD = 5 };

struct boot_memory {
	uint64_t base, size;
	uint32_t type; /* enum memory_type; anything but MEMORY_RAM is not usable */
};

struct boot_module {
	hpa_t start;
	uint64_t size;
	char name[MAX_FILE]; /* first word of the module's string, without its directory */
};

/* The multiboot2 specification's numbers. */
enum boot_framebuffer_type { FRAMEBUFFER_INDEXED = 0, FRAMEBUFFER_RGB = 1, FRAMEBUFFER_TEXT = 2 };

struct boot_framebuffer {
	hpa_t base;
	uint32_t pitch, width, height;
	uint8_t bpp;
	uint8_t type; /* enum boot_framebuffer_type; text: width and height in characters */
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
	bool present;
};

enum { BOOT_MEMORIES = 512, BOOT_MODULES = 64 };

struct boot_info {
	struct boot_memory memory[BOOT_MEMORIES]; /* sorted, no overlap; reserved wins over RAM */
	unsigned memories;
	struct boot_module module[BOOT_MODULES];
	unsigned modules;
	struct boot_framebuffer framebuffer;
	uint8_t rsdp[36]; /* copy; revision byte 15 tells 20 or 36 bytes */
	bool rsdp_present;
	char cmdline[MAX_CMDLINE];
	char loader[64];
	hpa_t load_base; /* tag 21, or 0 */
	bool efi;
};

/*
 * Reads a multiboot2 information block of `size` bytes at `blob` (Multiboot2 Specification 2.0,
 * "Boot information format"). Prefers the EFI memory map (tag 17) where present. Every tag is
 * bounds-checked; unknown tags are skipped. Pure.
 */
bool multiboot2_parse(struct boot_info *b, const void *blob, uint64_t size, struct refusal *r);
