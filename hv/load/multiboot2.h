/*
 * Multiboot2's formats (Multiboot2 Specification 2.0, "OS image format" and "Boot information
 * format"): Mullion is such an image, gets such information, and gives it to guests.
 */
#pragma once

#include "hv/lib/bytes.h"

enum {
	MULTIBOOT2_SEARCH = 32768,
	MULTIBOOT2_HEADER = 16, /* then tags */
	MULTIBOOT2_HEADER_MAGIC = 0xe85250d6,
	MULTIBOOT2_ENTRY_MAGIC = 0x36d76289,
};

/* Tags of the header. */
enum header_tag {
	TAG_END = 0,
	TAG_INFORMATION = 1,
	TAG_ADDRESS = 2,
	TAG_ENTRY = 3,
	TAG_CONSOLE = 4,
	TAG_FRAMEBUFFER = 5,
	TAG_ALIGN_MODULES = 6,
	TAG_EFI_BOOT_SERVICES = 7,
	TAG_EFI32_ENTRY = 8,
	TAG_EFI64_ENTRY = 9,
	TAG_RELOCATABLE = 10,
};
enum { TAG_HEADER = 8, TAG_RELOCATABLE_SIZE = 24 };

/* Where in a file its header is; false: there is none. Its length is not checked. */
static inline bool multiboot2_find(const uint8_t *data, uint64_t size, uint64_t *at)
{
	uint64_t end = size < MULTIBOOT2_SEARCH ? size : MULTIBOOT2_SEARCH;

	for (*at = 0; bytes_within(*at, MULTIBOOT2_HEADER, end); *at += 8) {
		const uint8_t *h = data + *at;

		if (get_le32(h) == MULTIBOOT2_HEADER_MAGIC &&
		    get_le32(h) + get_le32(h + 4) + get_le32(h + 8) + get_le32(h + 12) == 0) {
			return true;
		}
	}
	return false;
}

enum { INFO_HEADER = 8, INFO_TAG_HEADER = 8, INFO_TAG_ALIGN = 8 };

/* Tags of the information. */
enum info_tag {
	INFO_END = 0,
	INFO_CMDLINE = 1,
	INFO_LOADER_NAME = 2,
	INFO_MODULE = 3,
	INFO_MEMORY = 4,
	INFO_MMAP = 6,
	INFO_FRAMEBUFFER = 8,
	INFO_ELF_SECTIONS = 9,
	INFO_EFI32 = 11,
	INFO_EFI64 = 12,
	INFO_RSDP_OLD = 14,
	INFO_RSDP_NEW = 15,
	INFO_EFI_MMAP = 17,
	INFO_EFI_BOOT_SERVICES = 18,
	INFO_LOAD_BASE = 21,
};
