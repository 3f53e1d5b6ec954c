/*
 * The block of information behind EBX (Multiboot2 Specification 2.0, "Boot information format"), as
 * Mullion gets it from its loader and gives it to guests.
 */
#pragma once

enum { INFO_HEADER = 8, INFO_TAG_HEADER = 8, INFO_TAG_ALIGN = 8 };

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
