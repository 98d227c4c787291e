/* make_operators.c - prints docs/operators.md (make docs). */
#include <stdio.h>

#include "operators_page.h"

int main(void)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__buffer page;
    int ok;

    ln__buffer_init(&page, &ctx);
    put_operators_page(&page);
    ok = page.ok && fwrite(page.data, 1, page.size, stdout) == page.size;
    ln__buffer_free(&page);
    return ok ? 0 : 1;
}
