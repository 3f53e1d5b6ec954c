/*
 * Multiboot 2 images (Multiboot2 Specification 2.0). Called by load_guest.
 *
 * Loaded by the address tag where there is one, else as ELF; entered in 32-bit protected mode.
 * Entry tags for EFI and wishes about screens are passed over, for guests have neither.
 */
#include "hv/lib/bytes.h"
#include "hv/load/elf.h"
#include "hv/load/multiboot.h"
#include "hv/load/multiboot2.h"

enum { ARCHITECTURE_I386 = 0, TAG_OPTIONAL = BIT(0) };

#define LOAD_FROM_START ~0u /* load address: the file's first byte goes there */

enum { CONSOLE_REQUIRED = BIT(0), PREFER_HIGH = 2 };

struct image {
	struct load_plan *p;
	const uint8_t *h;    /* the header */
	uint64_t header_at;  /* its offset in the file */
	uint32_t header_len; /* within the file */
	bool by_addresses, has_entry, relocatable;
	struct multiboot_addresses addresses;
	uint32_t entry_tag;
	uint32_t min, max, align, preference;
	/* What came of it: */
	uint64_t load_base, entry;
	uint64_t module[MAX_MODULES];
	uint8_t rsdp[36];
	uint32_t rsdp_size; /* 0: none */
};

bool multiboot2_probe(const struct load_file *f)
{
	uint64_t at;

	return multiboot2_find(f->data, f->size, &at);
}

/* --- the header's tags --- */

static bool refuse_tag(struct image *m, uint32_t at, const char *why)
{
	return plan_refuse(m->p, "multiboot 2 header tag %u at offset 0x%lx: %s",
			   get_le16(m->h + at), m->header_at + at, why);
}

/*
 * A request is for what the loader has, if it has it: a screen, firmware or boot device are not
 * there. What we could give and do not, or do not know, is refused.
 */
static bool check_request(struct image *m, uint32_t at, uint32_t size)
{
	for (uint32_t i = TAG_HEADER; i + 4 <= size; i += 4) {
		uint32_t wanted = get_le32(m->h + at + i);

		if (wanted > INFO_LOAD_BASE || wanted == INFO_ELF_SECTIONS) {
			return plan_refuse(m->p,
					   "multiboot 2 header tag 1 at offset 0x%lx: requires "
					   "information tag %u, which is not supported",
					   m->header_at + at, wanted);
		}
	}
	return true;
}

static bool take_addresses(struct image *m, uint32_t at)
{
	const uint8_t *t = m->h + at;

	m->by_addresses = true;
	m->addresses = (struct multiboot_addresses){
		.header_at = m->header_at,
		.header = get_le32(t + 8),
		.load = get_le32(t + 12),
		.load_end = get_le32(t + 16),
		.bss_end = get_le32(t + 20),
	};
	if (m->addresses.load == LOAD_FROM_START) {
		m->addresses.load = m->addresses.header - (uint32_t)m->header_at;
	}
	return true;
}

static bool take_relocatable(struct image *m, uint32_t at)
{
	const uint8_t *t = m->h + at;

	m->relocatable = true;
	m->min = get_le32(t + 8);
	m->max = get_le32(t + 12);
	m->align = get_le32(t + 16) ? get_le32(t + 16) : 1;
	m->preference = get_le32(t + 20);
	return !(m->align & (m->align - 1)) ||
	       refuse_tag(m, at, "the alignment is no power of two");
}

static uint32_t tag_least(uint16_t type)
{
	switch (type) {
	case TAG_ADDRESS: return 24;
	case TAG_ENTRY: return 12;
	case TAG_CONSOLE: return 12;
	case TAG_RELOCATABLE: return TAG_RELOCATABLE_SIZE;
	default: return TAG_HEADER;
	}
}

static bool take_tag(struct image *m, uint32_t at, uint32_t size)
{
	const uint8_t *t = m->h + at;
	uint16_t type = get_le16(t);
	bool required = !(get_le16(t + 2) & TAG_OPTIONAL);

	switch (type) {
	case TAG_INFORMATION: return !required || check_request(m, at, size);
	case TAG_ADDRESS: return take_addresses(m, at);
	case TAG_ENTRY:
		m->has_entry = true;
		m->entry_tag = get_le32(t + 8);
		return true;
	case TAG_CONSOLE:
		return !required || !(get_le32(t + 8) & CONSOLE_REQUIRED) ||
		       refuse_tag(m, at, "requires a screen, which guests do not have");
	case TAG_RELOCATABLE: return take_relocatable(m, at);
	case TAG_FRAMEBUFFER:
	case TAG_ALIGN_MODULES:
	case TAG_EFI_BOOT_SERVICES:
	case TAG_EFI32_ENTRY:
	case TAG_EFI64_ENTRY: return true;
	default: return !required || refuse_tag(m, at, "required, but not known");
	}
}

static bool read_header(struct image *m)
{
	const struct load_file *f = &m->p->img->kernel;
	uint32_t size;

	if (!multiboot2_find(f->data, f->size, &m->header_at)) {
		return plan_refuse(m->p, "no multiboot 2 header in the first 32 KiB");
	}
	m->h = f->data + m->header_at;
	m->header_len = get_le32(m->h + 8);
	if (get_le32(m->h + 4) != ARCHITECTURE_I386) {
		return plan_refuse(
			m->p,
			"the multiboot 2 header at offset 0x%lx is for architecture %u, not i386",
			m->header_at, get_le32(m->h + 4));
	}
	if (!bytes_within(m->header_at, m->header_len, f->size)) {
		return plan_refuse(m->p,
				   "the multiboot 2 header at offset 0x%lx, 0x%x bytes, ends "
				   "beyond the file (0x%lx bytes)",
				   m->header_at, m->header_len, f->size);
	}
	for (uint64_t at = MULTIBOOT2_HEADER;; at = ALIGN_UP(at + size, 8)) {
		if (!bytes_within(at, TAG_HEADER, m->header_len)) {
			return plan_refuse(m->p,
					   "the multiboot 2 header at offset 0x%lx has no end tag",
					   m->header_at);
		}
		size = get_le32(m->h + at + 4);
		if (size < tag_least(get_le16(m->h + at)) ||
		    !bytes_within(at, size, m->header_len)) {
			return refuse_tag(m, (uint32_t)at, "its size does not fit");
		}
		if (get_le16(m->h + at) == TAG_END) {
			return true;
		}
		if (!take_tag(m, (uint32_t)at, size)) {
			return false;
		}
	}
}

/* --- the image --- */

/*
 * Where the image [low, high) goes: where it was linked, if it can; else, if it is relocatable,
 * where its tag allows. delta is what to add, modulo 2^64.
 */
static bool place_image(struct image *m, uint64_t low, uint64_t high, uint64_t *delta)
{
	struct load_plan *p = m->p;
	uint64_t at = low, size = high - low, end = (uint64_t)m->max + 1;
	bool fits = low >= m->min && high <= end && !plan_take(p, low, size);

	if (m->relocatable && !fits &&
	    !plan_find(p, size, m->align, m->min, end,
		       m->preference == PREFER_HIGH ? PLAN_HIGH : PLAN_LOW, &at)) {
		return plan_refuse(p,
				   "0x%lx bytes find no free RAM within 0x%x-0x%x, aligned to "
				   "0x%x, where the relocatable tag allows the image",
				   size, m->min, m->max, m->align);
	}
	p->pieces = 0; /* this was a trial: the pieces of the image are taken one by one */
	*delta = at - low;
	m->load_base = at;
	return true; /* not relocatable and does not fit: the loader says where */
}

static bool load_by_addresses(struct image *m)
{
	struct multiboot_flat flat;
	uint64_t delta;

	if (!m->has_entry) {
		return plan_refuse(m->p, "the multiboot 2 header has addresses, but no entry tag");
	}
	if (!multiboot_flat_image(m->p, &m->addresses, &flat)) {
		return false;
	}
	if (m->entry_tag - flat.base >= flat.memsz) {
		return plan_refuse(m->p, "the entry 0x%x is outside the image (0x%lx+0x%lx)",
				   m->entry_tag, flat.base, flat.memsz);
	}
	if (!place_image(m, flat.base, flat.base + flat.memsz, &delta)) {
		return false;
	}
	m->entry = m->entry_tag + delta;
	return multiboot_flat_load(m->p, &flat, delta);
}

static bool load_elf(struct image *m)
{
	struct elf_file e;
	uint64_t low, high, delta;

	if (!elf_probe(&m->p->img->kernel)) {
		return plan_refuse(m->p, "neither an ELF file nor a header with an address tag");
	}
	if (!elf_open(&e, m->p)) {
		return false;
	}
	if (m->has_entry) {
		e.entry = m->entry_tag;
	}
	if (!elf_extent(&e, m->p, &low, &high) || !elf_entry(&e, m->p, &m->entry) ||
	    !place_image(m, low, high, &delta)) {
		return false;
	}
	m->entry += delta;
	return elf_load(&e, m->p, delta);
}

/* --- the information --- */

/* Starts a tag; its size is filled in by end_tag. */
static uint32_t begin_tag(struct multiboot_writer *w, uint32_t type)
{
	uint32_t at;

	multiboot_align(w, 8);
	at = w->len;
	multiboot_put(w, &type, 4);
	multiboot_put(w, NULL, 4);
	return at;
}

static void end_tag(struct multiboot_writer *w, uint32_t at)
{
	if (w->p) {
		put_le32(w->p + at + 4, w->len - at);
	}
}

static void put_tag(struct multiboot_writer *w, uint32_t type, const void *data, size_t n)
{
	uint32_t at = begin_tag(w, type);

	multiboot_put(w, data, n);
	end_tag(w, at);
}

static void put_modules(struct multiboot_writer *w, const struct load_image *img,
			const struct image *m)
{
	for (unsigned i = 0; i < img->modules; i++) {
		const struct load_file *f = &img->module[i];
		uint32_t range[2] = {(uint32_t)m->module[i], (uint32_t)(m->module[i] + f->size)};
		uint32_t at = begin_tag(w, INFO_MODULE);

		multiboot_put(w, range, sizeof(range));
		multiboot_put_line(w, f->name, f->args);
		end_tag(w, at);
	}
}

static void put_memory(struct multiboot_writer *w, const struct load_image *img)
{
	uint32_t basic[2], map[2] = {24, 0}; /* entry size and version */
	uint32_t at;

	multiboot_memory(img, &basic[0], &basic[1]);
	put_tag(w, INFO_MEMORY, basic, sizeof(basic));
	at = begin_tag(w, INFO_MMAP);
	multiboot_put(w, map, sizeof(map));
	for (unsigned i = 0; i < img->maps; i++) {
		multiboot_put(w, &img->map[i].base, 8);
		multiboot_put(w, &img->map[i].size, 8);
		multiboot_put(w, &img->map[i].type, 4);
		multiboot_put(w, NULL, 4);
	}
	end_tag(w, at);
}

static void build_info(struct multiboot_writer *w, const struct load_image *img, void *ctx)
{
	const struct image *m = ctx;
	uint32_t at, base = (uint32_t)m->load_base;

	multiboot_put(w, NULL, 8); /* total size: filled in at the end */
	at = begin_tag(w, INFO_CMDLINE);
	multiboot_put_line(w, img->kernel.name, img->cmdline);
	end_tag(w, at);
	put_tag(w, INFO_LOADER_NAME, "Mullion", 8);
	put_modules(w, img, m);
	put_memory(w, img);
	if (m->rsdp_size) {
		put_tag(w, INFO_RSDP_OLD, m->rsdp, 20);
	}
	if (m->rsdp_size == sizeof(m->rsdp)) {
		put_tag(w, INFO_RSDP_NEW, m->rsdp, sizeof(m->rsdp));
	}
	if (m->relocatable) {
		put_tag(w, INFO_LOAD_BASE, &base, 4);
	}
	put_tag(w, INFO_END, NULL, 0);
	if (w->p) {
		put_le32(w->p, w->len);
	}
}

static void read_rsdp(struct image *m)
{
	enum { REVISION = 15 };
	const struct addrspace *as = m->p->as;
	gpa_t at = m->p->img->rsdp;

	if (at.v && addrspace_read(as, at, m->rsdp, sizeof(m->rsdp))) {
		m->rsdp_size = m->rsdp[REVISION] >= 2 ? sizeof(m->rsdp) : 20;
	}
}

bool multiboot2_load(const struct load_image *img, const struct addrspace *as,
		     struct vcpu_regs *regs, struct refusal *r)
{
	struct load_plan p = {.img = img, .as = as, .r = r};
	struct image m = {.p = &p};
	uint64_t info;

	if (!read_header(&m) || !(m.by_addresses ? load_by_addresses(&m) : load_elf(&m))) {
		return false;
	}
	read_rsdp(&m);
	return multiboot_modules(&p, m.module) && multiboot_info(&p, build_info, &m, &info) &&
	       multiboot_enter(&p, regs, MULTIBOOT2_ENTRY_MAGIC, m.entry, info);
}
