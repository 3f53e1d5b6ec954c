/*
 * Reading and loading ELF files; see elf.h. Plain ELF64 images are in elf64.c, multiboot ones in
 * multiboot1_guest.c and multiboot2_guest.c.
 */
#include "hv/load/elf.h"
#include "hv/lib/bytes.h"

enum ident { EI_CLASS = 4, EI_DATA = 5, CLASS_32 = 1, CLASS_64 = 2, DATA_LITTLE = 1 };
enum machine { EM_386 = 3, EM_X86_64 = 62 };
enum { E_TYPE = 16, E_MACHINE = 18, E_ENTRY = 24, PT_LOAD = 1, PN_XNUM = 0xffff };

/* Where the two classes differ. */
struct elf_layout {
	uint8_t word; /* bytes of an address */
	uint8_t header_size, phoff, phentsize, phnum;
	uint8_t ph_size, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
};

// clang-format off
static const struct elf_layout layout32 = {
	.word = 4, .header_size = 52, .phoff = 28, .phentsize = 42, .phnum = 44,
	.ph_size = 32, .p_offset = 4, .p_vaddr = 8, .p_paddr = 12, .p_filesz = 16, .p_memsz = 20,
};
static const struct elf_layout layout64 = {
	.word = 8, .header_size = 64, .phoff = 32, .phentsize = 54, .phnum = 56,
	.ph_size = 56, .p_offset = 8, .p_vaddr = 16, .p_paddr = 24, .p_filesz = 32, .p_memsz = 40,
};
// clang-format on

static const struct elf_layout *layout_of(const struct elf_file *e)
{
	return e->is64 ? &layout64 : &layout32;
}

static uint64_t get_word(const struct elf_file *e, const uint8_t *p)
{
	return e->is64 ? get_le64(p) : get_le32(p);
}

bool elf_probe(const struct load_file *f)
{
	return f->size >= 4 && memcmp(f->data, "\177ELF", 4) == 0;
}

static bool check_header(const struct elf_file *e, struct load_plan *p)
{
	const struct elf_layout *l = layout_of(e);
	uint16_t machine = get_le16(e->f->data + E_MACHINE);

	if (machine != EM_386 && machine != EM_X86_64) {
		return plan_refuse(p, "e_machine (offset 0x12) is %u: not for x86", machine);
	}
	if (e->type != ELF_EXEC && e->type != ELF_DYN) {
		return plan_refuse(p, "e_type (offset 0x10) is %u: not an executable", e->type);
	}
	if (!e->phnum || e->phnum == PN_XNUM) {
		return plan_refuse(p, "e_phnum (offset 0x%x) is %u: no program headers", l->phnum,
				   e->phnum);
	}
	if (e->phentsize < l->ph_size) {
		return plan_refuse(p, "e_phentsize (offset 0x%x) is %u, less than %u", l->phentsize,
				   e->phentsize, l->ph_size);
	}
	if (!bytes_within(e->phoff, (uint64_t)e->phentsize * e->phnum, e->f->size)) {
		return plan_refuse(
			p, "%u program headers at offset 0x%lx end beyond the file (0x%lx bytes)",
			e->phnum, e->phoff, e->f->size);
	}
	return true;
}

bool elf_open(struct elf_file *e, struct load_plan *p)
{
	const struct load_file *f = &p->img->kernel;
	const struct elf_layout *l;

	*e = (struct elf_file){.f = f};
	if (!elf_probe(f)) {
		return plan_refuse(p, "not an ELF file");
	}
	if (f->size < layout32.header_size) {
		return plan_refuse(p, "the ELF header ends beyond the file (0x%lx bytes)", f->size);
	}
	e->is64 = f->data[EI_CLASS] == CLASS_64;
	if ((!e->is64 && f->data[EI_CLASS] != CLASS_32) || f->data[EI_DATA] != DATA_LITTLE) {
		return plan_refuse(p, "ELF class %u, data encoding %u (offset 0x4): not for x86",
				   f->data[EI_CLASS], f->data[EI_DATA]);
	}
	l = layout_of(e);
	if (f->size < l->header_size) {
		return plan_refuse(p, "the ELF header ends beyond the file (0x%lx bytes)", f->size);
	}
	e->type = get_le16(f->data + E_TYPE);
	e->entry = get_word(e, f->data + E_ENTRY);
	e->phoff = get_word(e, f->data + l->phoff);
	e->phentsize = get_le16(f->data + l->phentsize);
	e->phnum = get_le16(f->data + l->phnum);
	return check_header(e, p);
}

static bool refuse_segment(struct load_plan *p, uint32_t i, const struct elf_segment *s,
			   uint64_t base, const char *why)
{
	return plan_refuse(p, "program header %u at offset 0x%lx: memory 0x%lx+0x%lx %s", i, s->at,
			   base, s->memsz, why);
}

bool elf_segment(const struct elf_file *e, struct load_plan *p, uint32_t i, struct elf_segment *s,
		 bool *load)
{
	const struct elf_layout *l = layout_of(e);
	uint64_t at = e->phoff + (uint64_t)i * e->phentsize;
	const uint8_t *ph = e->f->data + at;

	*s = (struct elf_segment){
		.at = at,
		.offset = get_word(e, ph + l->p_offset),
		.filesz = get_word(e, ph + l->p_filesz),
		.vaddr = get_word(e, ph + l->p_vaddr),
		.paddr = get_word(e, ph + l->p_paddr),
		.memsz = get_word(e, ph + l->p_memsz),
	};
	*load = get_le32(ph) == PT_LOAD && s->memsz;
	if (!*load) {
		return true;
	}
	if (!bytes_within(s->offset, s->filesz, e->f->size)) {
		return plan_refuse(p,
				   "program header %u at offset 0x%lx: file range 0x%lx+0x%lx ends "
				   "beyond the file (0x%lx bytes)",
				   i, at, s->offset, s->filesz, e->f->size);
	}
	if (s->memsz < s->filesz) {
		return plan_refuse(p,
				   "program header %u at offset 0x%lx: memory size 0x%lx is less "
				   "than file size 0x%lx",
				   i, at, s->memsz, s->filesz);
	}
	if (!bytes_within(s->paddr, s->memsz, GIB(4))) {
		return refuse_segment(p, i, s, s->paddr, "ends above 4 GiB");
	}
	return true;
}

bool elf_extent(const struct elf_file *e, struct load_plan *p, uint64_t *low, uint64_t *high)
{
	*low = ~0ull;
	*high = 0;
	for (uint32_t i = 0; i < e->phnum; i++) {
		struct elf_segment s;
		bool load;

		if (!elf_segment(e, p, i, &s, &load)) {
			return false;
		}
		if (load) {
			*low = s.paddr < *low ? s.paddr : *low;
			*high = s.paddr + s.memsz > *high ? s.paddr + s.memsz : *high;
		}
	}
	return *high || plan_refuse(p, "no program header says what to load");
}

bool elf_load(const struct elf_file *e, struct load_plan *p, uint64_t delta)
{
	for (uint32_t i = 0; i < e->phnum; i++) {
		struct elf_segment s;
		const char *why;
		bool load;

		if (!elf_segment(e, p, i, &s, &load)) {
			return false;
		}
		if (!load) {
			continue;
		}
		why = plan_take(p, s.paddr + delta, s.memsz);
		if (why) {
			return refuse_segment(p, i, &s, s.paddr + delta, why);
		}
		if (!plan_write(p, s.paddr + delta, e->f->data + s.offset, s.filesz)) {
			return false;
		}
	}
	return true;
}

bool elf_entry(const struct elf_file *e, struct load_plan *p, uint64_t *entry)
{
	bool physical = false;

	for (uint32_t i = 0; i < e->phnum; i++) {
		struct elf_segment s;
		bool load;

		if (!elf_segment(e, p, i, &s, &load)) {
			return false;
		}
		if (load && e->entry - s.vaddr < s.memsz) {
			*entry = e->entry - s.vaddr + s.paddr;
			return true;
		}
		physical |= load && e->entry - s.paddr < s.memsz;
	}
	*entry = e->entry;
	return physical ||
	       plan_refuse(p,
			   "the entry 0x%lx (e_entry, offset 0x18) is in no segment that is loaded",
			   e->entry);
}
