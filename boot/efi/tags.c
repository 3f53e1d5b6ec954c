/*
 * Writing the information block: see tags.h. Called by main.c; state: struct tags, the caller's.
 */
#include "boot/efi/tags.h"
#include "hv/lib/bytes.h"

enum tag_type {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_MEMORY_MAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_SMBIOS = 13,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
	TAG_EFI_MEMORY_MAP = 17,
	TAG_LOAD_BASE = 21,
};

enum { INFO_HEADER = 8, TAG_HEADER = 8, TAG_ALIGN = 8, RSDP_NEW_SIZE = 36 };
enum { MAP_HEADER = 16, MAP_ENTRY = 24, MAP_TOLD = 40 /* bytes of a descriptor that are used */ };

/* A tag of `size` bytes besides its header, zeroed; NULL: no room. */
static uint8_t *add(struct tags *t, enum tag_type type, uint64_t size)
{
	uint64_t whole = ALIGN_UP(TAG_HEADER + size, TAG_ALIGN);
	uint8_t *tag = t->block + t->used;

	if (size > t->room || !bytes_within(t->used, whole, t->room)) {
		t->full = true;
		return NULL;
	}
	memset(tag, 0, whole);
	put_le32(tag, type);
	put_le32(tag + 4, (uint32_t)(TAG_HEADER + size));
	t->used += (uint32_t)whole;
	return tag + TAG_HEADER;
}

static void add_bytes(struct tags *t, enum tag_type type, const void *bytes, size_t size)
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
	add_bytes(t, TAG_CMDLINE, text, strlen(text) + 1);
}

void tags_loader(struct tags *t, const char *name)
{
	add_bytes(t, TAG_LOADER, name, strlen(name) + 1);
}

void tags_module(struct tags *t, uint32_t start, uint32_t size, const char *name)
{
	size_t len = strlen(name) + 1;
	uint8_t *p = add(t, TAG_MODULE, 8 + len);

	if (p) {
		put_le32(p, start);
		put_le32(p + 4, start + size);
		memcpy(p + 8, name, len);
	}
}

void tags_load_base(struct tags *t, uint32_t base)
{
	uint8_t *p = add(t, TAG_LOAD_BASE, 4);

	if (p) {
		put_le32(p, base);
	}
}

void tags_framebuffer(struct tags *t, const struct boot_framebuffer *f)
{
	uint8_t *p = add(t, TAG_FRAMEBUFFER, 30);

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
	add_bytes(t, size < RSDP_NEW_SIZE ? TAG_RSDP_OLD : TAG_RSDP_NEW, rsdp, size);
}

/* As GRUB writes it: the version, reserved bytes, then the entry point structure. */
void tags_smbios(struct tags *t, const uint8_t *entry, uint32_t size)
{
	bool three = size > 8 && entry[3] == '3';
	uint8_t *p = add(t, TAG_SMBIOS, 8 + size);

	if (p) {
		p[0] = three ? entry[7] : entry[6];
		p[1] = three ? entry[8] : entry[7];
		memcpy(p + 8, entry, size);
	}
}

/* UEFI specification, "EFI_BOOT_SERVICES.GetMemoryMap()", as E820 types. */
static uint32_t bios_type(uint32_t efi_type)
{
	switch (efi_type) {
	case 1:
	case 2:
	case 3:
	case 4:
	case 7: return MEMORY_RAM;
	case 8: return MEMORY_BAD;
	case 9: return MEMORY_ACPI;
	case 10: return MEMORY_NVS;
	default: return MEMORY_RESERVED;
	}
}

void tags_memory_map(struct tags *t, const uint8_t *map, uint32_t size, uint32_t stride,
		     uint32_t version)
{
	uint32_t count = stride < MAP_TOLD ? 0 : size / stride;
	uint8_t *efi = add(t, TAG_EFI_MEMORY_MAP, 8 + (uint64_t)count * stride);
	uint8_t *bios = add(t, TAG_MEMORY_MAP, 8 + (uint64_t)count * MAP_ENTRY);

	if (!efi || !bios) {
		return;
	}
	put_le32(efi, stride);
	put_le32(efi + 4, version);
	put_le32(bios, MAP_ENTRY);
	memcpy(efi + 8, map, (size_t)count * stride);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *d = map + (size_t)i * stride;
		uint8_t *e = bios + 8 + (size_t)i * MAP_ENTRY;

		put_le64(e, get_le64(d + 8));
		put_le64(e + 8, get_le64(d + 24) << PAGE_SHIFT);
		put_le32(e + 16, bios_type(get_le32(d)));
	}
}

uint64_t tags_memory_map_room(uint64_t size, uint64_t stride)
{
	return size + (stride ? size / stride * MAP_ENTRY : 0) + 2ull * (MAP_HEADER + TAG_ALIGN);
}

bool tags_end(struct tags *t)
{
	add(t, TAG_END, 0);
	if (!t->full) {
		put_le32(t->block, t->used);
	}
	return !t->full;
}
