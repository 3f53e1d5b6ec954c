/*
 * Memory operands of the emulator: effective address, segmentation, paging, and the accesses
 * themselves, to RAM or to the partition's bus. Called by the files of the emulator.
 */
#include "hv/emulate_part.h"

/* Words that may stand anywhere in the guest's RAM. */
typedef uint16_t word16 __attribute__((may_alias, aligned(1)));
typedef uint32_t word32 __attribute__((may_alias, aligned(1)));
typedef uint64_t word64 __attribute__((may_alias, aligned(1)));

static const struct segment *segment_of(const struct vcpu_regs *r, unsigned segment)
{
	switch (segment) {
	case SEG_ES: return &r->es;
	case SEG_CS: return &r->cs;
	case SEG_SS: return &r->ss;
	case SEG_FS: return &r->fs;
	case SEG_GS: return &r->gs;
	default: return &r->ds;
	}
}

static enum emulate_result segment_fault(struct emulation *em, unsigned segment)
{
	return emulate_fault(em, segment == SEG_SS ? EXC_SS : EXC_GP, true, 0);
}

/* Intel SDM vol. 3, "Limit Checking"; expand-down segments are valid above their limit. */
static bool limit_allows(const struct segment *s, uint64_t offset, unsigned size, bool typed)
{
	uint64_t last = offset + size - 1;
	bool expand_down = typed && (s->ar & 0xc) == 0x4; /* data, E */

	if (!expand_down) {
		return last <= s->limit;
	}
	return offset > s->limit && last <= (s->ar & SEG_DB ? 0xffffffff : 0xffff);
}

/* Intel SDM vol. 3, "Type Checking". Bit 3 of the type: code; bit 1: writable or readable. */
static bool type_allows(const struct segment *s, enum access access)
{
	bool code = s->ar & BIT(3), bit1 = s->ar & BIT(1);

	if ((s->ar & SEG_UNUSABLE) || !(s->ar & SEG_P)) {
		return false;
	}
	return code ? bit1 && access == ACCESS_READ : bit1 || access == ACCESS_READ;
}

/* Outside 64-bit code. */
static enum emulate_result linear_legacy(struct emulation *em, unsigned segment, uint64_t offset,
					 unsigned size, enum access access, gva_t *out)
{
	const struct vcpu_regs *r = &em->v->regs;
	const struct segment *s = segment_of(r, segment);
	/* Real and virtual-8086 mode know limits, but no types. */
	bool typed = (r->cr0 & CR0_PE) && !(r->rflags & RFLAGS_VM);

	if (!limit_allows(s, offset, size, typed) || (typed && !type_allows(s, access))) {
		return segment_fault(em, segment);
	}
	*out = gva((uint32_t)(s->base + offset));
	return EMULATE_DONE;
}

static inline enum emulate_result linear(struct emulation *em, unsigned segment, uint64_t offset,
					 unsigned size, enum access access, gva_t *out)
{
	if (em->bits != 64) {
		return linear_legacy(em, segment, offset, size, access, out);
	}
	if (segment >= SEG_FS) {
		offset += segment_of(&em->v->regs, segment)->base;
	}
	/* Only an operand that crosses pages can leave the canonical addresses on its way. */
	if (!operand_canonical(em, offset) || ((offset & PAGE_MASK) + size > PAGE_SIZE &&
					       !operand_canonical(em, offset + size - 1))) {
		return segment_fault(em, segment);
	}
	*out = gva(offset);
	return EMULATE_DONE;
}

enum emulate_result operand_linear(struct emulation *em, unsigned segment, uint64_t offset,
				   unsigned size, enum access access, gva_t *out)
{
	return linear(em, segment, offset, size, access, out);
}

static inline bool alignment_faults(const struct emulation *em, uint64_t va, unsigned size)
{
	return (em->v->regs.rflags & RFLAGS_AC) && em->mode.cpl == 3 &&
	       (em->v->regs.cr0 & CR0_AM) && (va & (size - 1)) && size <= 8;
}

static enum emulate_result page_at(struct emulation *em, gva_t va, enum access access,
				   struct operand_page *out)
{
	struct gwalk_page page;
	enum emulate_result r = emulate_walk(
		em, va, access == ACCESS_READ ? GWALK_READ : GWALK_WRITE, &page);

	if (r != EMULATE_DONE) {
		return r;
	}
	out->gpa = page.gpa;
	out->ram = page_ram(&page);
	out->writable = page.range && page.range->writable;
	return EMULATE_DONE;
}

enum emulate_result operand_translate(struct emulation *em, gva_t va, unsigned size,
				      enum access access, struct operand *out)
{
	unsigned left = PAGE_SIZE - (unsigned)(va.v & PAGE_MASK);
	enum emulate_result r;

	out->size = size;
	out->first = left < size ? left : size;
	r = page_at(em, va, access, &out->page[0]);
	if (r == EMULATE_DONE && left < size) {
		uint64_t next = va.v + left;

		r = page_at(em, gva(em->bits == 64 ? next : (uint32_t)next), access, &out->page[1]);
	}
	if (r == EMULATE_DONE && alignment_faults(em, va.v, size)) {
		return emulate_fault(em, EXC_AC, true, 0);
	}
	return r;
}

enum emulate_result operand_at(struct emulation *em, unsigned segment, uint64_t offset,
			       unsigned size, enum access access, struct operand *out)
{
	gva_t va;
	enum emulate_result r = operand_linear(em, segment, offset, size, access, &va);

	return r == EMULATE_DONE ? operand_translate(em, va, size, access, out) : r;
}

/*
 * Whether this is the very access that made the CPU exit. The page offset and the direction must
 * agree; a read-modify-write is walked, because the CPU may have reported its read only.
 */
static inline bool is_the_exit(const struct emulation *em, gva_t va, unsigned size,
			       enum access access)
{
	const struct emulate *e = em->e;

	return e->gpa_valid && ((va.v ^ e->gpa.v) & PAGE_MASK) == 0 &&
	       (va.v & PAGE_MASK) + size <= PAGE_SIZE &&
	       access == (e->write ? ACCESS_WRITE : ACCESS_READ) &&
	       !alignment_faults(em, va.v, size);
}

enum emulate_result operand_own(struct emulation *em, int64_t displace, enum access access,
				struct operand *out)
{
	const struct decoded *d = em->d;
	uint64_t offset = (emulate_sum(&em->v->regs, d) + (uint64_t)displace) &
			  alu_mask(d->address_size);
	gva_t va;
	enum emulate_result r = linear(em, d->segment, offset, d->size, access, &va);

	if (r != EMULATE_DONE) {
		return r;
	}
	if ((d->flags & DECODE_ALIGNED) && (va.v & (d->size - 1u))) {
		return emulate_gp0(em);
	}
	if (is_the_exit(em, va, d->size, access)) {
		out->size = out->first = d->size;
		out->page[0].ram = NULL;
		out->page[0].gpa = em->e->gpa;
		return EMULATE_DONE;
	}
	r = operand_translate(em, va, d->size, access, out);
	if (r == EMULATE_DONE && !operand_is_mmio(out, access)) {
		return EMULATE_RETRY;
	}
	return r;
}

bool operand_is_mmio(const struct operand *o, enum access access)
{
	for (unsigned i = 0; i < (o->first < o->size ? 2 : 1); i++) {
		const struct operand_page *p = &o->page[i];

		if (!p->ram || (access != ACCESS_READ && !p->writable)) {
			return true;
		}
	}
	return false;
}

static uint64_t mmio_read(struct emulation *em, gpa_t at, unsigned size)
{
	struct bus_access a = {.size = (uint8_t)size};

	em->e->bus->mmio(em->e->bus->ctx, at, &a);
	return a.value & alu_mask(size);
}

static void mmio_write(struct emulation *em, gpa_t at, unsigned size, uint64_t value)
{
	struct bus_access a = {
		.value = value & alu_mask(size), .size = (uint8_t)size, .write = true};

	em->e->bus->mmio(em->e->bus->ctx, at, &a);
}

/* The next piece of n bytes at an MMIO address: words of 8, then what is left, naturally aligned.
 */
static unsigned piece(uint64_t at, unsigned n)
{
	unsigned size = 8;

	while (size > n || (n < 8 && (at & (size - 1)))) {
		size /= 2;
	}
	return size;
}

static void page_read(struct emulation *em, const struct operand_page *p, uint8_t *out, unsigned n)
{
	if (p->ram) {
		memcpy(out, p->ram, n);
		return;
	}
	for (unsigned i = 0, size; i < n; i += size) {
		uint64_t value;

		size = piece(p->gpa.v + i, n - i);
		value = mmio_read(em, gpa(p->gpa.v + i), size);
		memcpy(out + i, &value, size);
	}
}

static void page_write(struct emulation *em, const struct operand_page *p, const uint8_t *in,
		       unsigned n)
{
	if (p->ram && p->writable) {
		memcpy(p->ram, in, n);
		return;
	}
	for (unsigned i = 0, size; i < n; i += size) {
		uint64_t value = 0;

		size = piece(p->gpa.v + i, n - i);
		memcpy(&value, in + i, size);
		mmio_write(em, gpa(p->gpa.v + i), size, value);
	}
}

void operand_read_bytes(struct emulation *em, const struct operand *o, void *out)
{
	page_read(em, &o->page[0], out, o->first);
	if (o->first < o->size) {
		page_read(em, &o->page[1], (uint8_t *)out + o->first, o->size - o->first);
	}
}

void operand_write_bytes(struct emulation *em, const struct operand *o, const void *in)
{
	page_write(em, &o->page[0], in, o->first);
	if (o->first < o->size) {
		page_write(em, &o->page[1], (const uint8_t *)in + o->first, o->size - o->first);
	}
}

/* One load, so that a reader of RAM that another CPU writes sees no mixture. */
static uint64_t ram_read(const uint8_t *at, unsigned size)
{
	switch (size) {
	case 1: return *at;
	case 2: return *(const word16 *)at;
	case 4: return *(const word32 *)at;
	default: return *(const word64 *)at;
	}
}

static void ram_write(uint8_t *at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: *at = (uint8_t)value; break;
	case 2: *(word16 *)at = (uint16_t)value; break;
	case 4: *(word32 *)at = (uint32_t)value; break;
	default: *(word64 *)at = value; break;
	}
}

uint64_t operand_read(struct emulation *em, const struct operand *o)
{
	uint64_t value = 0;

	if (o->first < o->size) {
		operand_read_bytes(em, o, &value);
		return value;
	}
	if (o->page[0].ram) {
		return ram_read(o->page[0].ram, o->size);
	}
	return mmio_read(em, o->page[0].gpa, o->size);
}

void operand_write(struct emulation *em, const struct operand *o, uint64_t value)
{
	if (o->first < o->size) {
		operand_write_bytes(em, o, &value);
	} else if (o->page[0].ram && o->page[0].writable) {
		ram_write(o->page[0].ram, o->size, value);
	} else {
		mmio_write(em, o->page[0].gpa, o->size, value);
	}
}
