/*
 * Multiboot2 boot information to struct boot_info (Multiboot2 Specification 2.0, "Boot information
 * format"). Pure; boot/main.c calls it once, with a copy of the block that it then may forget.
 *
 * The loader is trusted to mean well, not to be right: whatever does not fit its tag is refused.
 */
#include "hv/load/multiboot2.h"
#include "boot/boot_info.h"
#include "hv/lib/bytes.h"

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36, RSDP_CHECKSUM = 8, RSDP_REVISION = 15 };

/* A memory map where it stands in the block; entries are decoded as they are needed. */
struct raw_map {
	const uint8_t *entry;
	uint32_t stride, count;
	bool efi;
};

struct parser {
	struct boot_info *b;
	struct refusal *r;
	struct raw_map map, efi_map;
	bool rsdp_new;
};

struct tag {
	uint32_t type, size; /* size: with the header */
	uint64_t at;	     /* in the block, for messages */
	const uint8_t *p;    /* the tag's first byte */
};

static bool refuse_tag(struct parser *s, const struct tag *t, const char *why)
{
	return refuse(s->r, "boot information: tag %u at offset 0x%lx: %s", t->type, t->at, why);
}

/* --- memory --- */

/* The sweep's time is quadratic in the entries: more than this is no map of a machine. */
enum { EFI_DESCRIPTOR_MIN = 40, MAP_ENTRIES_MAX = 4096 };
#define EFI_MEMORY_SP BIT(18) /* special purpose: not for general use */

/* UEFI specification, "EFI_BOOT_SERVICES.GetMemoryMap()": what each type is after exit. */
static uint32_t efi_memory_type(uint32_t type, uint64_t attribute)
{
	switch (type) {
	case 1: /* loader code and data: ours now */
	case 2:
	case 3: /* boot services code and data */
	case 4:
	case 7: return attribute & EFI_MEMORY_SP ? MEMORY_RESERVED : MEMORY_RAM;
	case 8: return MEMORY_BAD;
	case 9: return MEMORY_ACPI;
	case 10: return MEMORY_NVS;
	default: return MEMORY_RESERVED; /* runtime services, MMIO, persistent, unaccepted, new */
	}
}

static uint32_t bios_memory_type(uint32_t type)
{
	return type >= MEMORY_RAM && type <= MEMORY_BAD ? type : (uint32_t)MEMORY_RESERVED;
}

/* Entry i as [*base, *end) of whole pages: RAM shrinks to them, all else grows. False: empty. */
static bool raw_map_entry(const struct raw_map *m, uint32_t i, uint64_t *base, uint64_t *end,
			  uint32_t *type)
{
	const uint8_t *p = m->entry + (uint64_t)i * m->stride;
	const uint64_t limit = BIT(52); /* no address is wider */
	uint64_t start, size;

	if (m->efi) {
		uint64_t pages = get_le64(p + 24);

		start = get_le64(p + 8);
		size = pages > limit >> PAGE_SHIFT ? limit : pages << PAGE_SHIFT;
		*type = efi_memory_type(get_le32(p), get_le64(p + 32));
	} else {
		start = get_le64(p);
		size = get_le64(p + 8);
		*type = bios_memory_type(get_le32(p + 16));
	}
	if (!size || start >= limit) {
		return false;
	}
	*base = start;
	*end = size > limit - start ? limit : start + size;
	if (*type == MEMORY_RAM) {
		*base = ALIGN_UP(*base, PAGE_MASK + 1);
		*end = ALIGN_DOWN(*end, PAGE_MASK + 1);
	} else {
		*base = ALIGN_DOWN(*base, PAGE_MASK + 1);
		*end = ALIGN_UP(*end, PAGE_MASK + 1);
	}
	return *base < *end;
}

/*
 * What stands at `at`: the strongest type of all entries there (0: none), and the address up to
 * which that holds. Anything is stronger than RAM.
 */
static uint32_t raw_map_at(const struct raw_map *m, uint64_t at, uint64_t *until)
{
	uint32_t strongest = 0;

	*until = ~0ull;
	for (uint32_t i = 0; i < m->count; i++) {
		uint64_t base, end;
		uint32_t type;

		if (!raw_map_entry(m, i, &base, &end, &type) || end <= at) {
			continue;
		}
		if (base > at) {
			*until = base < *until ? base : *until;
			continue;
		}
		*until = end < *until ? end : *until;
		strongest = type > strongest ? type : strongest;
	}
	return strongest;
}

static bool add_memory(struct boot_info *b, uint64_t base, uint64_t end, uint32_t type,
		       struct refusal *r)
{
	struct boot_memory *last = b->memories ? &b->memory[b->memories - 1] : NULL;

	if (last && last->type == type && last->base + last->size == base) {
		last->size += end - base;
		return true;
	}
	if (b->memories == BOOT_MEMORIES) {
		return refuse(r, "boot information: the memory map has more than %u regions",
			      (unsigned)BOOT_MEMORIES);
	}
	b->memory[b->memories++] = (struct boot_memory){base, end - base, type};
	return true;
}

/*
 * Sweeps over the addresses where anything begins or ends. Quadratic in the entries, of which
 * machines have some hundred, and in need of no second table.
 */
static bool read_map(struct parser *s, const struct raw_map *m)
{
	uint64_t at = 0;

	while (at != ~0ull) {
		uint64_t until;
		uint32_t type = raw_map_at(m, at, &until);

		if (type && !add_memory(s->b, at, until, type, s->r)) {
			return false;
		}
		at = until;
	}
	return s->b->memories || refuse(s->r, "boot information: the memory map is empty");
}

static bool take_map(struct parser *s, const struct tag *t, struct raw_map *m, uint32_t least,
		     bool efi)
{
	if (t->size < 16) {
		return refuse_tag(s, t, "too short for a memory map");
	}
	if (m->entry) {
		return true; /* the first one counts */
	}
	m->stride = get_le32(t->p + 8);
	if (m->stride < least) {
		return refuse_tag(s, t, "entries of the memory map are too short");
	}
	m->entry = t->p + 16;
	m->count = (t->size - 16) / m->stride;
	if (m->count > MAP_ENTRIES_MAX) {
		return refuse_tag(s, t, "too many entries in the memory map");
	}
	m->efi = efi;
	return true;
}

/* --- the other tags --- */

/* The NUL-terminated string at offset `from` of a tag; NULL when no NUL ends it within the tag. */
static const char *tag_string(const struct tag *t, uint32_t from, size_t *len)
{
	const char *text = (const char *)t->p + from;

	if (t->size <= from) {
		return NULL;
	}
	*len = strnlen(text, t->size - from);
	return *len < t->size - from ? text : NULL;
}

static bool take_cmdline(struct parser *s, const struct tag *t)
{
	size_t len;
	const char *text = tag_string(t, INFO_TAG_HEADER, &len);

	if (!text) {
		return refuse_tag(s, t, "the command line does not end");
	}
	if (len >= sizeof(s->b->cmdline)) {
		return refuse_tag(s, t, "the command line is too long");
	}
	memcpy(s->b->cmdline, text, len + 1);
	return true;
}

static bool take_loader(struct parser *s, const struct tag *t)
{
	size_t len;
	const char *text = tag_string(t, INFO_TAG_HEADER, &len);

	if (!text) {
		return refuse_tag(s, t, "the loader's name does not end");
	}
	len = len < sizeof(s->b->loader) ? len : sizeof(s->b->loader) - 1;
	memcpy(s->b->loader, text, len);
	s->b->loader[len] = 0;
	return true;
}

/* The first word of text, without its directory. False: too long for a name. */
static bool first_word_name(char name[MAX_FILE], const char *text)
{
	const char *start, *end;

	while (*text == ' ' || *text == '\t') {
		text++;
	}
	start = end = text;
	for (; *end && *end != ' ' && *end != '\t'; end++) {
		if (*end == '/') {
			start = end + 1;
		}
	}
	if (end - start >= MAX_FILE) {
		return false;
	}
	memcpy(name, start, (size_t)(end - start));
	name[end - start] = 0;
	return true;
}

static bool take_module(struct parser *s, const struct tag *t)
{
	struct boot_module *m = &s->b->module[s->b->modules];
	size_t len;
	const char *text = tag_string(t, 16, &len);
	uint32_t start, end;

	if (!text) {
		return refuse_tag(s, t, "the module's string does not end");
	}
	if (s->b->modules == BOOT_MODULES) {
		return refuse_tag(s, t, "too many modules");
	}
	start = get_le32(t->p + 8);
	end = get_le32(t->p + 12);
	if (end < start) {
		return refuse_tag(s, t, "the module ends before it starts");
	}
	if (!first_word_name(m->name, text)) {
		return refuse_tag(s, t, "the module's name is too long");
	}
	m->start = hpa(start);
	m->size = end - start;
	s->b->modules++;
	return true;
}

static bool take_framebuffer(struct parser *s, const struct tag *t)
{
	struct boot_framebuffer *f = &s->b->framebuffer;

	if (t->size < 32) {
		return refuse_tag(s, t, "too short for a framebuffer");
	}
	f->base = hpa(get_le64(t->p + 8));
	f->pitch = get_le32(t->p + 16);
	f->width = get_le32(t->p + 20);
	f->height = get_le32(t->p + 24);
	f->bpp = t->p[28];
	f->type = t->p[29];
	if (f->type == FRAMEBUFFER_RGB) {
		if (t->size < 38) {
			return refuse_tag(s, t, "too short for a framebuffer's colours");
		}
		f->red_pos = t->p[32];
		f->red_size = t->p[33];
		f->green_pos = t->p[34];
		f->green_size = t->p[35];
		f->blue_pos = t->p[36];
		f->blue_size = t->p[37];
	}
	f->present = true;
	return true;
}

/*
 * An RSDP of 20 bytes must not claim 36, or its reader would go on: then the copy is made a
 * revision 0, with its checksum kept sound (or unsound, as it was).
 */
static bool take_rsdp(struct parser *s, const struct tag *t)
{
	uint8_t *rsdp = s->b->rsdp;
	uint32_t size = t->size - INFO_TAG_HEADER;
	bool new = t->type == INFO_RSDP_NEW;

	if (size < (new ? RSDP_NEW_SIZE : RSDP_OLD_SIZE)) {
		return refuse_tag(s, t, "too short for an RSDP");
	}
	if (s->b->rsdp_present && s->rsdp_new >= new) {
		return true;
	}
	memset(rsdp, 0, RSDP_NEW_SIZE);
	memcpy(rsdp, t->p + INFO_TAG_HEADER, size < RSDP_NEW_SIZE ? size : (uint32_t)RSDP_NEW_SIZE);
	if (size < RSDP_NEW_SIZE && rsdp[RSDP_REVISION]) {
		rsdp[RSDP_CHECKSUM] = (uint8_t)(rsdp[RSDP_CHECKSUM] + rsdp[RSDP_REVISION]);
		rsdp[RSDP_REVISION] = 0;
	}
	s->b->rsdp_present = true;
	s->rsdp_new = new;
	return true;
}

static bool take_tag(struct parser *s, const struct tag *t)
{
	switch (t->type) {
	case INFO_CMDLINE: return take_cmdline(s, t);
	case INFO_LOADER_NAME: return take_loader(s, t);
	case INFO_MODULE: return take_module(s, t);
	case INFO_MMAP: return take_map(s, t, &s->map, 20, false);
	case INFO_EFI_MMAP:
		s->b->efi = true;
		return take_map(s, t, &s->efi_map, EFI_DESCRIPTOR_MIN, true);
	case INFO_FRAMEBUFFER: return take_framebuffer(s, t);
	case INFO_EFI32:
	case INFO_EFI64: s->b->efi = true; return true;
	case INFO_RSDP_OLD:
	case INFO_RSDP_NEW: return take_rsdp(s, t);
	case INFO_EFI_BOOT_SERVICES:
		return refuse_tag(s, t, "the loader has left the firmware's boot services running");
	case INFO_LOAD_BASE:
		if (t->size < 12) {
			return refuse_tag(s, t, "too short for a load base");
		}
		s->b->load_base = hpa(get_le32(t->p + 8));
		return true;
	default: return true;
	}
}

bool multiboot2_parse(struct boot_info *b, const void *blob, uint64_t size, struct refusal *r)
{
	struct parser s = {.b = b, .r = r};
	const uint8_t *p = blob;
	uint64_t at = INFO_HEADER;
	uint32_t total;

	memset(b, 0, sizeof(*b));
	if (size < INFO_HEADER) {
		return refuse(r, "boot information: shorter than its header");
	}
	total = get_le32(p);
	if (total > size) {
		return refuse(r, "boot information: says 0x%x bytes, but has 0x%lx", total, size);
	}
	for (;;) {
		struct tag t = {.at = at, .p = p + at};

		if (!bytes_within(at, INFO_TAG_HEADER, total)) {
			return refuse(r, "boot information: no end tag before offset 0x%lx", at);
		}
		t.type = get_le32(p + at);
		t.size = get_le32(p + at + 4);
		if (t.size < INFO_TAG_HEADER || !bytes_within(at, t.size, total)) {
			return refuse_tag(&s, &t, "its size does not fit");
		}
		if (t.type == INFO_END) {
			break;
		}
		if (!take_tag(&s, &t)) {
			return false;
		}
		at = ALIGN_UP(at + t.size, INFO_TAG_ALIGN);
	}
	if (s.efi_map.entry) {
		return read_map(&s, &s.efi_map);
	}
	if (s.map.entry) {
		return read_map(&s, &s.map);
	}
	return refuse(r, "boot information: no memory map (tag 6 or 17)");
}
