/*
 * The short way for what drivers do all the time: an aligned load or store of a general register in
 * 64-bit code, at the very address that made the CPU exit, by an instruction that the emulator has
 * met before. Called by exit.c before emulate(), which knows all other cases and meets those first.
 *
 * Nothing is believed that the guest may have changed: the mode, the page-table entries of the code
 * page and the instruction's bytes are compared with what they were. The CPU has translated and
 * permitted the access itself, so the operand's page offset, its size and the direction must agree
 * with the exit, and that is all.
 */
#include "hv/emulate_part.h"

/* The instruction's bytes in RAM, if the walk to them still goes as when they were decoded. */
static inline const uint8_t *code_at(const struct vcpu *v, uint64_t rip, unsigned cpl)
{
	const struct vcpu_regs *r = &v->regs;
	const struct gwalk_memo *memo = gwalk_memo_of(v->fetches, gva(rip));

	if ((rip & PAGE_MASK) > PAGE_SIZE - DECODE_WORDS ||
	    !GWALK_MEMO_HOLDS(memo, gva(rip), r, r->efer, cpl)) {
		return NULL;
	}
	return memo->ram ? memo->ram + (rip & PAGE_MASK) : NULL;
}

/* Whether the operand can be what was accessed: a place in its page that is a multiple of its size.
 */
static inline bool operand_agrees(const struct vcpu *v, const struct decoded *d, gpa_t at)
{
	uint64_t offset = emulate_sum(&v->regs, d);

	return !((offset ^ at.v) & PAGE_MASK) && !(at.v & (d->size - 1u));
}

const struct decoded *emulate_plain(const struct vcpu *v, gpa_t at, bool write, unsigned cpl,
				    struct bus_access *a)
{
	uint64_t rip = v->regs.rip;
	const struct decoded *d = &v->decoded.slot[rip % DECODE_CACHE_SLOTS];
	const uint8_t *code;

	if (d->plain != (write ? PLAIN_STORE : PLAIN_LOAD)) {
		return NULL;
	}
	code = code_at(v, rip, cpl);
	if (!code || !decode_same(d, code) || !operand_agrees(v, d, at)) {
		return NULL;
	}
	a->size = d->size;
	a->write = write;
	if (write) {
		a->value = emulate_source(&v->regs, d) & alu_mask(d->size);
	}
	return d;
}

static NOINLINE void load(struct vcpu *v, const struct decoded *d, uint64_t value)
{
	value = d->flags & DECODE_SIGN ? alu_sign_extend(value, d->size)
				       : value & alu_mask(d->size);
	emulate_merge(&v->regs.gpr[d->reg], d->reg_shift, d->reg_size, value);
}

void emulate_plain_end(struct vcpu *v, const struct decoded *d, const struct bus_access *a)
{
	if (a->write) {
		/* done */
	} else if (d->size == 4 && d->reg_size == 4) {
		v->regs.gpr[d->reg] = (uint32_t)a->value;
	} else {
		load(v, d, a->value);
	}
	vcpu_skip(v, d->len);
}
