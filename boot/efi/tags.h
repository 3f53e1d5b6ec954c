/*
 * Writing a multiboot2 information block (Multiboot2 Specification 2.0, "Boot information format"),
 * as boot/multiboot2.c reads it. Pure.
 *
 * The caller brings the room. What does not fit is left out, and tags_end tells so.
 */
#pragma once

#include "boot/boot_info.h"

struct tags {
	uint8_t *block;
	uint32_t room, used;
	bool full;
};

/* room: bytes at block, which stands at a multiple of 8. */
void tags_begin(struct tags *t, void *block, uint32_t room);
void tags_cmdline(struct tags *t, const char *text);
void tags_loader(struct tags *t, const char *name);
/* start + size is below 4 GiB. */
void tags_module(struct tags *t, uint32_t start, uint32_t size, const char *name);
void tags_load_base(struct tags *t, uint32_t base);
void tags_framebuffer(struct tags *t, const struct boot_framebuffer *f);
/* size: 20, or 36 for a revision 2 or later. */
void tags_rsdp(struct tags *t, const uint8_t *rsdp, uint32_t size);
/* The firmware's map as it is. */
void tags_memory_map(struct tags *t, const uint8_t *map, uint32_t size, uint32_t stride,
		     uint32_t version);
/* Bytes that the memory map will take at most. */
uint64_t tags_memory_map_room(uint64_t size);
bool tags_end(struct tags *t);
