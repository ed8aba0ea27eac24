// Reads one YAML text a line, each written as a JSON string, and writes what sigs.k8s.io/yaml makes of it as one line
// of JSON; an empty line where it refuses the text.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		value, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			value = nil
		}
		fmt.Fprintln(out, string(value))
	}
}
