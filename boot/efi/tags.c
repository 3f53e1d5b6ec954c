/*
 * Writing the information block: see tags.h. Called by main.c; state: struct tags, the caller's.
 */
#include "boot/efi/tags.h"
#include "hv/lib/bytes.h"
#include "hv/load/multiboot2.h"

enum { RSDP_NEW_SIZE = 36 };

/* A tag of `size` bytes besides its header, zeroed; NULL: no room. */
static uint8_t *add(struct tags *t, enum info_tag type, uint64_t size)
{
	uint64_t whole = ALIGN_UP(INFO_TAG_HEADER + size, INFO_TAG_ALIGN);
	uint8_t *tag = t->block + t->used;

	if (size > t->room || !bytes_within(t->used, whole, t->room)) {
		t->full = true;
		return NULL;
	}
	memset(tag, 0, whole);
	put_le32(tag, type);
	put_le32(tag + 4, (uint32_t)(INFO_TAG_HEADER + size));
	t->used += (uint32_t)whole;
	return tag + INFO_TAG_HEADER;
}

static void add_bytes(struct tags *t, enum info_tag type, const void *bytes, size_t size)
{
	uint8_t *p = add(t, type, size);

	if (p) {
		memcpy(p, bytes, size);
	}
}

void tags_begin(struct tags *t, void *block, uint32_t room)
{
	*t = (struct tags){.block = block, .room = room, .used = INFO_HEADER};
	t->full = room < INFO_HEADER;
}

void tags_cmdline(struct tags *t, const char *text)
{
	add_bytes(t, INFO_CMDLINE, text, strlen(text) + 1);
}

void tags_loader(struct tags *t, const char *name)
{
	add_bytes(t, INFO_LOADER_NAME, name, strlen(name) + 1);
}

void tags_module(struct tags *t, uint32_t start, uint32_t size, const char *name)
{
	size_t len = strlen(name) + 1;
	uint8_t *p = add(t, INFO_MODULE, 8 + len);

	if (p) {
		put_le32(p, start);
		put_le32(p + 4, start + size);
		memcpy(p + 8, name, len);
	}
}

void tags_load_base(struct tags *t, uint32_t base)
{
	uint8_t *p = add(t, INFO_LOAD_BASE, 4);

	if (p) {
		put_le32(p, base);
	}
}

void tags_framebuffer(struct tags *t, const struct boot_framebuffer *f)
{
	uint8_t *p = add(t, INFO_FRAMEBUFFER, 30);

	if (p) {
		const uint8_t colours[] = {f->red_pos,	  f->red_size, f->green_pos,
					   f->green_size, f->blue_pos, f->blue_size};

		put_le64(p, f->base.v);
		put_le32(p + 8, f->pitch);
		put_le32(p + 12, f->width);
		put_le32(p + 16, f->height);
		p[20] = f->bpp;
		p[21] = f->type;
		memcpy(p + 24, colours, sizeof(colours));
	}
}

void tags_rsdp(struct tags *t, const uint8_t *rsdp, uint32_t size)
{
	add_bytes(t, size < RSDP_NEW_SIZE ? INFO_RSDP_OLD : INFO_RSDP_NEW, rsdp, size);
}

void tags_memory_map(struct tags *t, const uint8_t *map, uint32_t size, uint32_t stride,
		     uint32_t version)
{
	uint8_t *p = add(t, INFO_EFI_MMAP, 8 + (uint64_t)size);

	if (p) {
		put_le32(p, stride);
		put_le32(p + 4, version);
		memcpy(p + 8, map, size);
	}
}

uint64_t tags_memory_map_room(uint64_t size)
{
	return INFO_TAG_HEADER + 8 + size + INFO_TAG_ALIGN;
}

bool tags_end(struct tags *t)
{
	add(t, INFO_END, 0);
	if (!t->full) {
		put_le32(t->block, t->used);
	}
	return !t->full;
}
