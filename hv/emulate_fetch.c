/*
 * The start of an emulation: the vCPU's mode, the instruction bytes through the guest's page
 * tables, and their compact form, from the vCPU's cache where the bytes are the same. Called by
 * emulate.c.
 */
#include "hv/emulate_part.h"

void emulate_begin(struct emulation *em, struct emulate *e)
{
	struct vcpu *v = e->vcpu;

	vcpu_need(v, GROUP_RIP | GROUP_RFLAGS | GROUP_CR | GROUP_AR);
	em->e = e;
	em->v = v;
	em->bits = vcpu_code_bits(v);
	if (em->bits != 64) {
		vcpu_need(v, GROUP_CS_SS);
	}
	em->mode.cr0 = v->regs.cr0;
	em->mode.cr3 = v->regs.cr3;
	em->mode.cr4 = v->regs.cr4;
	em->mode.efer = v->regs.efer;
	em->mode.rflags = v->regs.rflags;
	em->mode.cpl = vcpu_cpl(v);
	em->mode.maxphyaddr = e->maxphyaddr;
	em->mode.pkru = e->pkru;
	e->fault.valid = false;
	__builtin_memset(e->bytes, 0, sizeof(e->bytes));
	e->bytes_count = 0;
	e->insn_len = 0;
}

enum emulate_result emulate_fault(struct emulation *em, enum exception vector, bool has_error,
				  uint32_t error)
{
	em->e->fault = (struct event){
		.valid = true,
		.type = EVENT_EXC,
		.vector = (uint8_t)vector,
		.has_error = has_error,
		.error = error,
	};
	return EMULATE_FAULT;
}

enum emulate_result emulate_walk_failed(struct emulation *em, enum gwalk_result r, gva_t va,
					const struct gwalk_page *page)
{
	switch (r) {
	case GWALK_FAULT:
		em->v->regs.cr2 = va.v;
		vcpu_touch(em->v, GROUP_CR2);
		return emulate_fault(em, EXC_PF, true, page->error);
	case GWALK_RETRY: return EMULATE_RETRY;
	default: return EMULATE_UNKNOWN;
	}
}

/* The linear address of the byte at RIP + offset; false: beyond the code segment. */
static bool code_address(const struct emulation *em, unsigned offset, gva_t *out, uint64_t *left)
{
	const struct vcpu_regs *r = &em->v->regs;
	uint64_t rip = r->rip + offset;

	if (em->bits == 64) {
		*left = UINT64_MAX;
		*out = gva(rip);
		return operand_canonical(em, rip);
	}
	if (rip > r->cs.limit) {
		return false;
	}
	*left = r->cs.limit - rip + 1;
	*out = gva((uint32_t)(r->cs.base + rip));
	return true;
}

/* Fetches what the present page holds, or the next one when there are bytes already. */
static enum emulate_result fetch_more(struct emulation *em)
{
	struct emulate *e = em->e;
	unsigned have = e->bytes_count, n = DECODE_BYTES_MAX - have, in_page;
	struct gwalk_page page;
	const uint8_t *from;
	enum emulate_result r;
	uint64_t left;
	gva_t va;

	if (!code_address(em, have, &va, &left)) {
		return emulate_gp0(em);
	}
	r = emulate_walk(em, va, GWALK_FETCH, &page);
	if (r != EMULATE_DONE) {
		return r;
	}
	from = page_ram(&page);
	if (!from) {
		return EMULATE_UNKNOWN;
	}
	in_page = PAGE_SIZE - (unsigned)(va.v & PAGE_MASK);
	n = n < in_page ? n : in_page;
	n = n < left ? n : (unsigned)left;
	memcpy(e->bytes + have, from, n);
	e->bytes_count = (uint8_t)(have + n);
	return EMULATE_DONE;
}

/* The first fetch; nearly always all that can be needed is in one page, and two loads get it. */
static enum emulate_result fetch_first(struct emulation *em)
{
	struct emulate *e = em->e;
	uint64_t rip = em->v->regs.rip;
	struct gwalk_page page;
	enum gwalk_result walked;
	const uint8_t *from;

	if (em->bits != 64 || (rip & PAGE_MASK) > PAGE_SIZE - sizeof(e->bytes)) {
		return fetch_more(em);
	}
	walked = gwalk_fetch(e->as, &em->mode, gva(rip), em->v->fetches, &page);
	if (walked != GWALK_OK) {
		return emulate_walk_failed(em, walked, gva(rip), &page);
	}
	from = page_ram(&page);
	if (!from) {
		return EMULATE_UNKNOWN;
	}
	__builtin_memcpy(e->bytes, from, sizeof(e->bytes));
	e->bytes_count = DECODE_BYTES_MAX;
	return EMULATE_DONE;
}

/* What the bytes so far are; DECODE_MORE was dealt with. */
static enum emulate_result decode_failed(struct emulation *em, enum decode_status status)
{
	if (status == DECODE_TOO_LONG) {
		return emulate_gp0(em);
	}
	/*
	 * The CPU got beyond #UD, or the guest has rewritten the code since: either way it is the
	 * CPU that knows. Newer instructions than the decoder's are not told apart from invalid
	 * ones.
	 */
	return EMULATE_UNKNOWN;
}

static enum emulate_result decode_miss(struct emulation *em, struct decoded *d)
{
	struct emulate *e = em->e;
	enum decode_status status;

	d->bits = 0; /* not valid until it is complete */
	d->plain = PLAIN_NOT;
	while ((status = decode(e->bytes, e->bytes_count, em->bits, d)) == DECODE_MORE) {
		enum emulate_result r = fetch_more(em);

		if (r != EMULATE_DONE) {
			return r;
		}
	}
	return status == DECODE_OK ? EMULATE_DONE : decode_failed(em, status);
}

static bool same_bytes(const struct decoded *d, const struct emulation *em)
{
	const struct emulate *e = em->e;

	return d->bits == em->bits && d->len <= e->bytes_count && decode_same(d, e->bytes);
}

enum emulate_result emulate_fetch(struct emulation *em)
{
	struct decoded *d = &em->v->decoded.slot[em->v->regs.rip % DECODE_CACHE_SLOTS];
	enum emulate_result r = fetch_first(em);

	if (r != EMULATE_DONE) {
		return r;
	}
	if (__builtin_expect(!same_bytes(d, em), 0)) {
		r = decode_miss(em, d);
		if (r != EMULATE_DONE) {
			return r;
		}
	}
	em->d = d;
	em->e->insn_len = d->len;
	return EMULATE_DONE;
}

unsigned emulate_length(struct emulate *e)
{
	struct emulation em;

	emulate_begin(&em, e);
	return emulate_fetch(&em) == EMULATE_DONE ? em.d->len : 0;
}
