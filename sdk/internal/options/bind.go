package options

import (
	"context"
	"fmt"
	"reflect"

	"github.com/lubod/lubod/sdk"
)

// MustBind ties an author's factory to the schema of its options. It panics when check or the tags find a mistake: the
// plugin was built wrong, and its first start is the time to say so.
func MustBind[C, P any](check func([]sdk.Option) error, factory func(context.Context, C) (P, error), ready func(context.Context, P)) (
	[]sdk.Option, func(context.Context, []byte) error,
) {
	schema, err := Of[C]()
	if err == nil {
		err = check(schema.Options)
	}
	if err != nil {
		panic("this plugin is built wrong: " + err.Error())
	}
	return schema.Options, func(ctx context.Context, raw []byte) error {
		opts, err := Decode[C](raw)
		if err != nil {
			return err
		}
		built, err := factory(ctx, opts)
		if err != nil {
			return fmt.Errorf("set up plugin: %w", err)
		}
		if v := reflect.ValueOf(&built).Elem(); v.Kind() == reflect.Interface && v.IsNil() || v.Kind() == reflect.Pointer && v.IsNil() {
			return sdk.Errorf(sdk.Bug, "the plugin's factory returned nil without an error")
		}
		ready(ctx, built)
		return nil
	}
}
